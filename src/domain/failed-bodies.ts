/** The bodies of calls about failed objects. All of them may be left out where they say nothing. */
import { z } from 'zod';
import { REPLAY_ORDERS } from './batch.ts';
import { REQUEST_ID } from './request-id.ts';
import { readStrictBody } from './strict-body.ts';

const order = z
  .enum(REPLAY_ORDERS)
  .default('original')
  .meta({
    description:
      'Where the objects stand in the order of writes: where they have always stood (`original`), so that whatever was ' +
      'accepted after them still wins, or as if they had been sent `now`.',
  });

/** How one object is to be replayed. */
export const REPLAY_ONE = z.strictObject({ order });

/** Which objects are to be replayed, and how. */
export const REPLAY_SOME = z.strictObject({
  order,
  request: REQUEST_ID.optional().meta({
    description: 'Those of this request alone; without it, all of the namespace.',
  }),
});

/** Which objects are to be discarded. */
export const DISCARD_SOME = z.strictObject({
  request: REQUEST_ID.optional().meta({ description: 'Those of this request.' }),
  all: z.literal(true).optional().meta({ description: 'All of the namespace.' }),
});

/** @throws InvalidWriteError, as all of these */
export function readReplayOne(text: string): z.infer<typeof REPLAY_ONE> {
  return readStrictBody(orEmpty(text), REPLAY_ONE, '{"order": "original"}');
}

export function readReplaySome(text: string): z.infer<typeof REPLAY_SOME> {
  return readStrictBody(orEmpty(text), REPLAY_SOME, '{"request": "req_…", "order": "original"}');
}

/** Says nothing means nothing: who wants everything to be discarded has to say so. */
export function readDiscardSome(text: string): z.infer<typeof DISCARD_SOME> {
  const example = '{"request": "req_…"} or {"all": true}';
  return readStrictBody(orEmpty(text), DISCARD_SOME, example, ({ request, all }, issues) => {
    if ((request === undefined) === (all === undefined)) {
      issues.add(() => '', `say which are to be discarded, in one way: ${example}`);
    }
  });
}

function orEmpty(text: string): string {
  return text.trim() === '' ? '{}' : text;
}
