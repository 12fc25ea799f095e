/** A broken build: chunks of an import have stamps that follow one another, and overtake later writes. For `domain/batch.js`. */
import * as real from '../../../dist/domain/batch.js';

export * from '../../../dist/domain/batch.js';

export function orderOf(batch) {
  const { stamp, part, ...order } = real.orderOf(batch);
  return { ...order, stamp: stamp + part, part: 0 };
}
