/** A broken build: writes are ordered by the clock of the queue's server alone. */
export function withoutStamp(backend) {
  return {
    ...backend,
    openProducer() {
      const producer = backend.openProducer();
      return {
        ...producer,
        async readStamp() {
          const read = await producer.readStamp();
          return { ...read, stamp: read.acceptedAt };
        },
      };
    },
  };
}
