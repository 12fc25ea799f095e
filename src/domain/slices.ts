/** Long work in slices, between which the event loop turns: so one large body never keeps all other requests waiting. */

/** Work that yields wherever it may be interrupted: after about {@link SLICE_LENGTH} characters of what it reads. */
export type Sliced<T> = Generator<undefined, T>;

/** How much text is read between two interruptions, in UTF-16 code units: two milliseconds of work at worst. */
export const SLICE_LENGTH = 16 * 1024;

/** How long one slice of work lasts, in milliseconds. */
export const SLICE_MS = 5;

/** Works that wait for their next slice: in each turn of the event loop one of them goes on, whatever their number. */
const waiting: (() => void)[] = [];

/** Does all of the work now, where that is short or nobody else waits. */
export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** Does the work in slices. @throws what the work throws */
export async function inSlices<T>(work: Sliced<T>): Promise<T> {
  for (;;) {
    await nextTurn();
    const end = performance.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done) return step.value;
    } while (performance.now() < end);
  }
}

/** Resolves when it is the caller's turn to do a slice of work. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(turn);
  });
}

function turn(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(turn);
}
