/**
 * State with a type of our own inside an Avro envelope of the registry: the store and its cache then hold decoded
 * states, and only bytes that cross to disk or changelog are turned. Used by the wiring for the stores of orders,
 * stock and tracking.
 */
import { type Serde, StreamsError } from '#streams';

/** Errors of `deserialize`: RECORD_UNREADABLE when the JSON in the envelope is damaged. */
export function envelopeSerde<State, Envelope>(
  envelope: Serde<Envelope>,
  pack: (state: State) => Envelope,
  unpack: (stored: Envelope) => State,
): Serde<State> {
  const serde: Serde<State> = {
    name: `${envelope.name} envelope`,
    serialize: (state, topic) => envelope.serialize(state === null ? null : pack(state), topic),
    deserialize: (bytes, topic) => {
      const stored = envelope.deserialize(bytes, topic);
      if (stored === null) return null;
      try {
        return unpack(stored);
      } catch (error) {
        throw new StreamsError('RECORD_UNREADABLE', 'the state in the envelope is not JSON', {
          cause: error,
        });
      }
    },
  };
  if (envelope.prepare !== undefined) serde.prepare = (bytes) => envelope.prepare?.(bytes);
  return serde;
}
