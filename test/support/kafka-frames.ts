/** Kafka's framing and the one edit that a proxy needs: shared by the proxies of this folder. */
import type { Socket } from 'node:net';

/** Calls `each` with every whole frame, its four length bytes included. */
export function onFrames(socket: Socket, each: (frame: Buffer) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
      const end = 4 + pending.readInt32BE(0);
      each(Buffer.from(pending.subarray(0, end)));
      pending = pending.subarray(end);
    }
  });
}

/** Replaces `127.0.0.1` followed by a port, which is how the answers that name brokers write it, by that of a proxy. */
export function withPorts(frame: Buffer, ports: ReadonlyMap<number, number>): Buffer {
  const host = Buffer.from('127.0.0.1');
  for (let at = frame.indexOf(host); at >= 0; at = frame.indexOf(host, at + 1)) {
    const portAt = at + host.length;
    if (portAt + 4 > frame.length) break;
    const proxy = ports.get(frame.readInt32BE(portAt));
    if (proxy !== undefined) frame.writeInt32BE(proxy, portAt);
  }
  return frame;
}
