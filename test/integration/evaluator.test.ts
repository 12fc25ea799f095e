/** The evaluator's thread where an object holds it up or ends it, and its module where that goes away. */
import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { checkFailsAlone, moduleFolder, outputOf, startEvaluator } from '../support/evaluators.ts';
import { waitFor } from '../support/wait-for.ts';

describe('an object that takes too long', () => {
  it.each(['loop', 'loopInGetter'])(
    'and blocks the thread is found, and no other fails: %s',
    async (deed) => {
      const { evaluate, lost, lines } = await startEvaluator({ timeoutMs: 400 });
      const before = Array.from({ length: 3 }, () => evaluate({ do: 'wait', ms: 200 }));
      const blocking = evaluate({ do: deed });
      const after = Array.from({ length: 20 }, () => evaluate({}));
      expect(await blocking).toEqual({
        outcome: 'timed_out',
        error: 'timed out after 0.4 s, and let nothing else run',
      });
      for (const one of [...before, ...after]) expect((await one).outcome).toBe('succeeded');
      expect(lost()).toBe(1);
      expect(lines.find(({ reason }) => reason?.includes('blocked'))).toBeDefined();
    },
  );
});

describe('an object that ends the thread', () => {
  it.each([
    ['exit', 'ended its thread: it ended itself with code 3'],
    ['exitLater', 'ended its thread: it ended itself with code 4'],
    ['crash', 'ended its thread: Error: nobody catches it'],
  ])('fails alone: %s', async (deed, error) => {
    await checkFailsAlone(deed, error);
  });
});

describe('the module', () => {
  it('that cannot be loaded any more is tried again, and nothing fails', async () => {
    const write = await moduleFolder();
    const module = await write(
      'fleeting.mjs',
      'export default (o) => (o.do === "exit" ? process.exit(1) : { labels: ["v1"] });',
    );
    const { evaluate, lines } = await startEvaluator({ module });
    await evaluate({});
    await rm(module);
    const waiting = evaluate({ do: 'exit' });
    await waitFor('a line that tells so', () =>
      lines.some(({ msg }) => msg.includes('cannot be loaded any more')),
    );
    await write('fleeting.mjs', 'export default () => ({ labels: ["v2"] });');
    expect(outputOf(await waiting).labels).toEqual(['v2']);
  });
});
