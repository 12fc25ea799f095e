/**
 * An example of an evaluator for Inlet: labels by rules on fields, and an action when a value has crossed a limit.
 *
 *     INLET_EVALUATOR=examples/evaluator.mjs npm start
 *
 * It is called for each object after it was stored. What it returns is kept with the object, shown in the results of
 * requests, and sent along with the webhook. Whatever it throws fails this one object: `workflow.failed` is sent then.
 */

/** Labels, each with the rule that earns it. */
const LABELS = {
  expensive: ({ price }) => price >= 1_000,
  'out-of-stock': ({ stock }) => stock === 0,
  unpriced: ({ price }) => price === undefined,
};

/** Limits: an action is due in the moment in which a field goes from one side to the other, and not again after that. */
const LIMITS = [
  { field: 'stock', below: 10, action: { type: 'reorder' } },
  { field: 'price', above: 5_000, action: { type: 'review', reason: 'high price' } },
];

export default {
  /**
   * @param {Record<string, any>} object as it is stored. (Numbers are JavaScript's: digits beyond 2^53 are lost here, and
   *   only here.)
   * @param {object} context
   * @param {string} context.namespace
   * @param {string} context.id
   * @param {string} context.requestId the request that has written this version
   * @param {number} context.revision
   * @param {Record<string, any> | null} context.previous the version that was evaluated last; null where there is none
   * @param {AbortSignal} context.signal aborted when the time is up: hand it to `fetch` and the like
   * @returns all three may be left out; a promise of it is fine, too
   */
  evaluate(object, { previous }) {
    return {
      labels: Object.keys(LABELS).filter((label) => LABELS[label](object)),
      actions: LIMITS.filter(
        (limit) => isBeyond(limit, object) && !(previous && isBeyond(limit, previous)),
      ).map(({ action, field }) => ({ ...action, field, value: object[field] })),
      fields: { is_new: previous === null, ...priceChange(object, previous) },
    };
  },
};

function isBeyond({ field, below, above }, object) {
  const value = object[field];
  if (typeof value !== 'number') return false;
  return value < (below ?? Number.NEGATIVE_INFINITY) || value > (above ?? Number.POSITIVE_INFINITY);
}

/** In percent, to one decimal place. */
function priceChange({ price }, previous) {
  const before = previous?.price;
  if (typeof price !== 'number' || typeof before !== 'number' || before === 0) return {};
  return { price_change: Math.round((price / before - 1) * 1_000) / 10 };
}
