/** What is said of an error outside of this process: never a word that could be users' data, or a secret. */
import { UnavailableError } from '../errors.ts';
import { sqlState } from '../store/faults.ts';

/**
 * The classes of Postgres's errors whose messages speak of the server and not of what it was given. Others quote
 * values: 22 and 23 the one that is wrong, P0 and codes of their own whatever an operator's trigger says.
 */
const SPEAK_OF_THE_SERVER: ReadonlySet<string> = new Set([
  ...['08', '25', '28', '3D', '40', '53', '55', '57', '58'],
]);

/** Speak of a statement, which is ours, or of a value that names something or has a syntax, such as a `regclass` or a `tsquery`. */
const SPEAK_OF_A_STATEMENT: ReadonlySet<string> = new Set(['3F', '42']);

const INSUFFICIENT_PRIVILEGE = '42501';

/** Redis repeats a command that it doesn't know, be it AUTH with its password. */
const REPEATED_COMMAND = /, with args beginning with.*/s;

const HIDDEN = 'not shown: it could quote data';

/**
 * What the log says of an error: its type, message, code and cause. Further members are left out: errors of Postgres
 * carry rows and parameters there, those of ioredis the command, and those of URLs the URL with its password.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : typeof error };
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? { code: error.code } : {};
  const because = cause === undefined ? {} : { cause: describeError(cause) };
  const shown = quotesData(error) ? HIDDEN : message.replace(REPEATED_COMMAND, '');
  const where = isExpected(error) ? {} : { stack: framesOf(stack) };
  return { type: name, message: shown, ...code, ...because, ...where };
}

/** Whether an error's message could hold what users have sent. */
function quotesData(error: Error): boolean {
  const state = sqlState(error);
  // With a context it was raised inside of a function, which an operator's trigger may do with any code.
  if (state !== undefined) return !speaksOfTheServer(error, state) || hasContext(error);
  // JSON.parse quotes what it was given.
  if (error instanceof SyntaxError) return true;
  // What wraps another often says the same.
  return error.cause instanceof Error && quotesData(error.cause);
}

function speaksOfTheServer(error: Error, state: string): boolean {
  const kind = state.slice(0, 2);
  if (SPEAK_OF_THE_SERVER.has(kind) || state === INSUFFICIENT_PRIVILEGE) return true;
  // Errors of a statement have a place in it.
  return SPEAK_OF_A_STATEMENT.has(kind) && 'position' in error && error.position !== undefined;
}

function hasContext(error: Error): boolean {
  return 'where' in error && error.where !== undefined;
}

/** These are explained by their code or message; where they were thrown says nothing. */
function isExpected(error: Error): boolean {
  return error instanceof UnavailableError || 'code' in error || error.cause !== undefined;
}

/** A stack without the message that it begins with. */
function framesOf(stack: string | undefined): string | undefined {
  const frames = stack?.indexOf('\n    at ') ?? -1;
  return frames < 0 ? undefined : stack?.slice(frames + 1);
}
