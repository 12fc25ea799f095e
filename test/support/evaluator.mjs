// An evaluator that does what the object says, good or bad.
import { existsSync } from 'node:fs';

const calls = new Map();

const deeds = {
  loop() {
    for (;;);
  },
  async loopLater() {
    await null;
    for (;;);
  },
  loopInGetter: () => ({
    fields: {
      get endless() {
        for (;;);
      },
    },
  }),
  hang: () => new Promise(() => undefined),
  throw() {
    throw new TypeError('broken\u0000 on purpose');
  },
  throwText() {
    throw 'just text';
  },
  reject: async () => Promise.reject(new Error('rejected')),
  exit: () => process.exit(3),
  exitLater: () => {
    setTimeout(() => process.exit(4), 1);
    return new Promise(() => undefined);
  },
  crash: () => {
    setTimeout(() => {
      throw new Error('nobody catches it');
    }, 1);
    return new Promise(() => undefined);
  },
  memory() {
    const kept = [];
    for (;;) kept.push(new Array(1_000_000).fill(kept.length));
  },
  big: ({ bytes }) => ({ fields: { text: 'x'.repeat(bytes) } }),
  nul: () => ({ labels: ['a\u0000b'] }),
  surrogate: () => ({ fields: { text: '\ud800' } }),
  deep: () => ({ actions: [JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`)] }),
  nan: () => ({ fields: { score: Number.NaN } }),
  map: () => ({ fields: { all: new Map() } }),
  bigint: () => ({ fields: { n: 1n } }),
  circular: () => {
    const fields = {};
    fields.fields = fields;
    return { fields };
  },
  nothing: () => undefined,
  none: () => null,
  list: () => [],
  date: () => new Date(0),
  text: () => 'text',
  badActions: () => ({ actions: {} }),
  badLabels: () => ({ labels: 'one' }),
  badFields: () => ({ fields: [] }),
  unknown: () => ({ label: ['typing mistake'] }),
  partly: () => ({ labels: ['only'] }),
  print: () => {
    // biome-ignore lint/suspicious/noConsole: that is what it is about
    console.log('a line\nand another');
    // biome-ignore lint/suspicious/noConsole: that is what it is about
    console.error('a warning');
    return {};
  },
  signal: (_object, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('should come too late')));
    }),
  wait: async ({ ms }) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { labels: ['waited'] };
  },
  // Answers when the file is there.
  until: async ({ file }) => {
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
    return { labels: ['waited'] };
  },
  // Answers what it was called with.
  echo: (object, { signal: _, ...context }) => ({ fields: { object, ...context } }),
};

let inHand = 0;
let most = 0;

export default {
  async evaluate(object, context) {
    const deed = deeds[object.do];
    if (deed) return deed(object, context);
    inHand += 1;
    most = Math.max(most, inHand);
    calls.set(context.id, (calls.get(context.id) ?? 0) + 1);
    // Several turns of the loop, so that others have their chance.
    await new Promise((resolve) => setTimeout(resolve, 5));
    inHand -= 1;
    return { labels: ['seen'], fields: { most, calls: calls.get(context.id), revision: context.revision } };
  },
};
