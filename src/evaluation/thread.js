/**
 * What runs in the evaluator's thread: imports the module, calls it for each object, and checks what it answers.
 *
 * JavaScript, and nothing of Inlet is imported: Node.js starts a thread from a file, which no bundler and no test
 * runner compiles for it.
 *
 * @import { EvaluationInput, FromThread, ThreadData, ToThread } from './thread-messages.ts'
 */
import { workerData } from 'node:worker_threads';

/**
 * @typedef {(object: unknown, context: object) => unknown} Evaluate
 */

/** Longest time that Node's timers can count, in milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Longest message of an error that is kept, in characters. */
const MAX_ERROR_LENGTH = 1_000;

const { module, port, timeoutMs, maxOutputBytes, running } = /** @type {ThreadData} */ (workerData);

/**
 * Imports the evaluator and serves the port from then on.
 * @param {(module: string) => Promise<unknown>} load imports as from the working directory
 */
export async function run(load) {
  try {
    const evaluate = findEvaluate(await load(module));
    port.on('message', (/** @type {ToThread} */ message) => {
      if (message.kind === 'ping') tell({ kind: 'pong' });
      else void evaluateTask(evaluate, message.task, message.input);
    });
    tell({ kind: 'ready' });
  } catch (error) {
    tell({ kind: 'unusable', reason: describe(error) });
  }
}

/** @param {FromThread} message */
function tell(message) {
  port.postMessage(message);
}

/**
 * @param {unknown} loaded
 * @returns {Evaluate}
 */
function findEvaluate(loaded) {
  const { default: exported } = /** @type {{ default?: unknown }} */ (loaded);
  const holder = /** @type {{ evaluate?: unknown } | null | undefined} */ (exported);
  const method = holder?.evaluate;
  if (typeof method === 'function') return (object, context) => method.call(holder, object, context);
  if (typeof exported === 'function') return (object, context) => exported(object, context);
  throw new Error('its default export has no function "evaluate"');
}

class LateError extends Error {}

/**
 * @param {Evaluate} evaluate
 * @param {number} task
 * @param {EvaluationInput} input
 */
async function evaluateTask(evaluate, task, { data, previous, ...about }) {
  const late = new AbortController();
  const limitMs = Math.min(timeoutMs, LONGEST_TIMER_MS);
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const error = new LateError(`timed out after ${limitMs / 1_000} s`);
      reject(error);
      asTask(task, () => late.abort(error));
    }, limitMs);
  });
  try {
    const context = {
      ...about,
      previous: previous === null ? null : JSON.parse(previous),
      signal: late.signal,
    };
    const answer = asTask(task, () => evaluate(JSON.parse(data), context));
    const output = await Promise.race([answer, timeout]);
    tell({ kind: 'evaluated', task, output: asTask(task, () => outputText(output)) });
  } catch (error) {
    tell({ kind: 'failed', task, error: describe(error), isLate: error instanceof LateError });
  } finally {
    clearTimeout(timer);
    timeout.catch(() => undefined);
  }
}

/**
 * Runs code of a task. Should it never end, the worker can see whose it is.
 * @template T
 * @param {number} task
 * @param {() => T} code
 */
function asTask(task, code) {
  Atomics.store(running, 0, task);
  try {
    return code();
  } finally {
    Atomics.store(running, 0, 0);
  }
}

/**
 * @param {unknown} answer
 * @returns {string} JSON text
 */
function outputText(answer) {
  if (answer === undefined) return outputText({});
  if (!isObject(answer)) throw new Error(`answered ${nameOf(answer)} instead of an object`);
  const {
    actions = [],
    labels = [],
    fields = {},
    ...others
  } = /** @type {Record<string, unknown>} */ (answer);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new Error(
      `answered with a member ${JSON.stringify(unknown.slice(0, 100))}: there may be actions, labels and fields`,
    );
  }
  if (!Array.isArray(actions))
    throw new Error(`answered ${nameOf(actions)} as actions, which must be a list`);
  if (!Array.isArray(labels)) throw new Error(`answered ${nameOf(labels)} as labels, which must be a list`);
  if (!isObject(fields)) throw new Error(`answered ${nameOf(fields)} as fields, which must be an object`);
  const text = JSON.stringify({ actions, labels, fields }, refuseWhatIsNoJson);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxOutputBytes) {
    throw new Error(`answered ${bytes} bytes of JSON: at most ${maxOutputBytes} are allowed`);
  }
  return text;
}

/**
 * JSON.stringify leaves functions out, makes null of NaN and {} of a Map: data would get lost without a word.
 * @param {string} key
 * @param {unknown} value
 */
function refuseWhatIsNoJson(key, value) {
  const isRefused =
    typeof value === 'function' ||
    typeof value === 'symbol' ||
    typeof value === 'bigint' ||
    (typeof value === 'number' && !Number.isFinite(value)) ||
    value instanceof Map ||
    value instanceof Set;
  if (isRefused)
    throw new Error(`answered ${nameOf(value)} as ${JSON.stringify(key.slice(0, 100))}, which is not JSON`);
  return value;
}

/** @param {unknown} value */
function isObject(value) {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Map) &&
    !(value instanceof Set) &&
    typeof (/** @type {{ toJSON?: unknown }} */ (value).toJSON) !== 'function'
  );
}

/** @param {unknown} value */
function nameOf(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  return `a ${value.constructor?.name ?? 'value'}`;
}

/** @param {unknown} error */
function describe(error) {
  return textOf(error).slice(0, MAX_ERROR_LENGTH);
}

/** @param {unknown} error */
function textOf(error) {
  try {
    if (!(error instanceof Error)) return `threw ${String(error)}`;
    // What Inlet itself throws here has no name of its own.
    return error.constructor === Error || error instanceof LateError
      ? error.message
      : `${error.name}: ${error.message}`;
  } catch {
    return 'threw something that has no text';
  }
}
