// Ports of this machine: is one free, does something answer. Loopback only.
import { connect, createServer } from 'node:net';

export const loopback = '127.0.0.1';

export function isPortFree(port) {
  return new Promise((settle) => {
    const server = createServer();
    server.once('error', () => settle(false));
    server.listen({ port, host: loopback, exclusive: true }, () => server.close(() => settle(true)));
  });
}

const handedOut = new Set();

/**
 * A free port below the range from which the system takes the ports of outgoing connections. A port of that range
 * could be taken by any client while its server is down, and the server could not come back to it.
 */
export async function freePort() {
  const first = 20_000;
  const count = 12_000;
  // Processes that look at the same time begin at different places.
  const start = (process.pid * 37 + handedOut.size * 11) % count;
  for (let i = 0; i < count; i += 1) {
    const port = first + ((start + i) % count);
    if (handedOut.has(port) || !(await isPortFree(port))) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error('there is no free port between 20000 and 32000');
}

/** Connects, sends bytes, and gives back the answer's first `length`-prefixed frame; undefined where there is none. */
export function askFrame(port, request, timeoutMs = 2_000) {
  return new Promise((settle) => {
    const socket = connect({ port, host: loopback });
    let received = Buffer.alloc(0);
    const finish = (answer) => {
      socket.destroy();
      settle(answer);
    };
    socket.setTimeout(timeoutMs, () => finish(undefined));
    socket.once('error', () => finish(undefined));
    socket.once('close', () => settle(undefined));
    socket.once('connect', () => socket.write(request));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4) return;
      const size = received.readInt32BE(0);
      if (received.length >= 4 + size) finish(received.subarray(4, 4 + size));
    });
  });
}
