/** The rules for what a write may hold, and the reading of its body. */
import { isLongerThan } from './characters.ts';
import { findJsonMistake } from './json-check.ts';
import { isLarge, outline, requireJson } from './json-outline.ts';
import type { Span } from './json-text.ts';
import { memberSpan, memberSpans } from './json-text.ts';
import { checkSchema, parseSchema } from './schema.ts';
import type { Sliced } from './slices.ts';
import { atOnce, inSlices } from './slices.ts';
import type { Issue } from './storable.ts';
import { checkPlaces, findUnstorable, Issues } from './storable.ts';

/** Longest id, in Unicode characters. (Postgres refuses index rows above about 2,700 bytes.) */
export const MAX_ID_LENGTH = 512;

/** What a namespace may be called. */
export const NAMESPACE_PATTERN = /^[A-Za-z0-9_-]{1,128}$/;

/** A write's objects as they go into the queue. */
export interface Write {
  readonly ids: readonly string[];
  /** The objects' JSON text as it was sent, separated by commas. */
  readonly objects: string;
  /** The JSON text of the schema that came along. */
  readonly schema?: string;
}

/** The body breaks the rules: `issues` says where and how, `total` how often altogether. */
export class InvalidWriteError extends Error {
  override readonly name = 'InvalidWriteError';
  readonly issues: readonly Issue[];
  readonly total: number;

  constructor(message: string, { first, total }: Issues) {
    super(message);
    this.issues = first;
    this.total = total;
  }
}

/** The write has more objects than one request may hold. */
export class TooManyObjectsError extends Error {
  override readonly name = 'TooManyObjectsError';
}

export function isNamespace(text: string): boolean {
  return NAMESPACE_PATTERN.test(text);
}

/**
 * Reads the body of a write, `{"data": OBJECT | [OBJECT, …]}`, and the `schema` that may come along.
 *
 * The parsed value is used for checking only; what is kept is the text.
 *
 * @param text the body, valid UTF-8 decoded, without byte order mark
 * @param maxObjects most objects that one write may have
 * @throws InvalidWriteError where the body is not JSON or breaks a rule
 * @throws TooManyObjectsError
 */
export function readWrite(text: string, maxObjects: number): Write {
  return isLarge(text) ? atOnce(readLargeWrite(text, maxObjects)) : readSmallWrite(text, maxObjects);
}

/** {@link readWrite} for a server: reads a large body in slices, and is a promise then. */
export function readWriteInSlices(text: string, maxObjects: number): Write | Promise<Write> {
  return isLarge(text) ? inSlices(readLargeWrite(text, maxObjects)) : readSmallWrite(text, maxObjects);
}

function readSmallWrite(text: string, maxObjects: number): Write {
  const body = readOnlyMember(text) ?? readMember(text);
  const checked = new CheckedWrite(body, maxObjects);
  findUnstorable(body.dataText, checked.outerLevels, checked.issues, '/data');
  return checked.write();
}

function* readLargeWrite(text: string, maxObjects: number): Sliced<Write> {
  const body = (yield* readOnlyLargeMember(text, maxObjects)) ?? (yield* readLargeMember(text, maxObjects));
  const checked = new CheckedWrite(body, maxObjects);
  yield;
  yield* checkPlaces(body.dataText, checked.outerLevels, checked.issues, '/data');
  return checked.write();
}

/** A body whose objects have ids that are checked, and whose text is to be. */
class CheckedWrite {
  readonly issues = new Issues();
  readonly #body: Body;
  readonly #ids: string[] = [];

  /** @throws InvalidWriteError or TooManyObjectsError where there are no objects to be checked */
  constructor(body: Body, maxObjects: number) {
    this.#body = body;
    const { data } = body;
    if (!Array.isArray(data)) {
      if (!isObject(data)) throw invalid('"data" must be an object or a list of objects', '/data');
      this.#check(data, '/data');
      return;
    }
    if (data.length === 0) throw invalid('"data" must hold at least one object', '/data');
    if (data.length > maxObjects) {
      throw new TooManyObjectsError(
        `the request has ${data.length} objects, and the limit is ${maxObjects}: send several requests`,
      );
    }
    data.forEach((object: unknown, index) => {
      this.#check(object, `/data/${index}`);
    });
  }

  /** How many levels of the text are around the objects. */
  get outerLevels(): number {
    return Array.isArray(this.#body.data) ? 1 : 0;
  }

  /** @throws InvalidWriteError where there are issues */
  write(): Write {
    const { data, dataText, schema } = this.#body;
    if (schema) checkSchema(schema.value, schema.text, this.issues);
    if (this.issues.total > 0) throwIssues(this.issues);
    return {
      ids: this.#ids,
      objects: Array.isArray(data) ? dataText.slice(1, -1) : dataText,
      ...(schema ? { schema: schema.text } : {}),
    };
  }

  #check(object: unknown, path: string): void {
    const id = checkedId(object, path, this.issues);
    if (id !== undefined) this.#ids.push(id);
  }
}

/** @throws InvalidWriteError that names the first of `issues`, of which there is at least one */
export function throwIssues(issues: Issues): never {
  throw new InvalidWriteError(summary(issues), issues);
}

/** What {@link readObject} finds. */
export interface ReadObject {
  /** Empty where there is none that is valid. */
  readonly id: string;
  /** What keeps the object from being stored; undefined where nothing does. */
  readonly mistake: string | undefined;
}

/**
 * Reads one object on its own, by the same rules as those of a write.
 * @param text as that of {@link readWrite}
 * @returns what is found; of a large object a promise, because that is read in slices
 */
export function readObject(text: string): ReadObject | Promise<ReadObject> {
  return isLarge(text) ? inSlices(readLargeObject(text)) : readSmallObject(text);
}

function readSmallObject(text: string): ReadObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return noJson(error);
  }
  const issues = new Issues();
  const id = checkedId(value, '', issues) ?? '';
  findUnstorable(text, 0, issues);
  return { id, mistake: issues.total > 0 ? summary(issues) : undefined };
}

function* readLargeObject(text: string): Sliced<ReadObject> {
  try {
    yield* requireJson(text);
  } catch (error) {
    return noJson(error);
  }
  const issues = new Issues();
  const id = checkedId(yield* outline(text.trim(), 0), '', issues) ?? '';
  yield* checkPlaces(text, 0, issues, '');
  return { id, mistake: issues.total > 0 ? summary(issues) : undefined };
}

function noJson(error: unknown): ReadObject {
  return { id: '', mistake: `is not valid JSON: ${(error as Error).message}` };
}

/** The id of an object; undefined where it has none that is valid, and `issues` says why. */
function checkedId(object: unknown, path: string, issues: Issues): string | undefined {
  if (!isObject(object)) {
    issues.add(() => path, 'must be an object');
    return undefined;
  }
  const { id } = object;
  const message = idMistake(id);
  if (message) issues.add(() => `${path}/id`, message);
  return message ? undefined : (id as string);
}

/** The first issue, and how many more there are. */
function summary({ first: [first], total }: Issues): string {
  if (!first) return '';
  const more = total > 1 ? ` (and ${total - 1} more)` : '';
  return `${first.path === '' ? '' : `${first.path}: `}${first.message}${more}`;
}

/** How nearly every body begins and ends. (White space as JSON has it, which is less than `\s`; and not megabytes of it.) */
const DATA_FIRST = /^[ \t\r\n]{0,99}\{[ \t\r\n]{0,99}"data"[ \t\r\n]{0,99}:/;
const SOME_SPACE = /^[ \t\r\n]{0,99}$/;

/** The members of a body that count. */
interface Body {
  readonly data: unknown;
  readonly dataText: string;
  readonly schema?: { readonly value: unknown; readonly text: string };
}

/**
 * Reads a body that holds "data" and nothing else without searching the text.
 * @returns undefined where the body is of another form, or not valid: the other way finds out what it is
 */
function readOnlyMember(text: string): Body | undefined {
  const dataText = onlyMember(text);
  if (dataText === undefined) return undefined;
  try {
    return { data: JSON.parse(dataText), dataText: dataText.trim() };
  } catch {
    return undefined;
  }
}

/** What stands between `{"data":` and the last brace: that is one JSON value exactly where it is the only member. */
function onlyMember(text: string): string | undefined {
  const start = DATA_FIRST.exec(text)?.[0].length;
  const end = text.lastIndexOf('}');
  if (start === undefined || !SOME_SPACE.test(text.slice(end + 1))) return undefined;
  return text.slice(start, end);
}

function readMember(text: string): Body {
  const body = parseJson(text);
  if (!isObject(body)) throw noObject();
  const span = requireData(memberSpan(text, 'data'));
  const schema = Object.hasOwn(body, 'schema') ? memberSpan(text, 'schema') : undefined;
  return {
    data: body['data'],
    dataText: text.slice(span.start, span.end),
    ...(schema ? { schema: { value: body['schema'], text: text.slice(schema.start, schema.end) } } : {}),
  };
}

/**
 * Like {@link readOnlyMember}, without ever building what the text says.
 * @param maxObjects of a longer list only the length is read
 */
function* readOnlyLargeMember(text: string, maxObjects: number): Sliced<Body | undefined> {
  const dataText = onlyMember(text)?.trim();
  if (dataText === undefined || (yield* findJsonMistake(dataText)) !== undefined) return undefined;
  return { data: yield* outline(dataText, maxObjects), dataText };
}

/** Like {@link readMember}, without ever building what the text says. */
function* readLargeMember(text: string, maxObjects: number): Sliced<Body> {
  try {
    yield* requireJson(text);
  } catch (error) {
    throw notJson(error);
  }
  if (!/^[ \t\r\n]*\{/.test(text)) throw noObject();
  const [data, schema] = yield* memberSpans(text, ['data', 'schema']);
  const span = requireData(data);
  const dataText = text.slice(span.start, span.end);
  const schemaText = schema ? text.slice(schema.start, schema.end) : undefined;
  return {
    data: yield* outline(dataText, maxObjects),
    dataText,
    ...(schemaText === undefined ? {} : { schema: { value: parseSchema(schemaText), text: schemaText } }),
  };
}

function requireData(span: Span | undefined): Span {
  if (span) return span;
  throw invalid('the member "data" is missing: send {"data": {…}} or {"data": [{…}, …]}', '/data');
}

function noObject(): InvalidWriteError {
  return invalid('the body must be a JSON object with a member "data"', '');
}

function notJson(error: unknown): InvalidWriteError {
  return invalid(`the body is not valid JSON: ${(error as Error).message}`, '');
}

/** What is wrong with an id, or undefined. (U+0000 and the like are found by `findUnstorable`.) */
export function idMistake(id: unknown): string | undefined {
  if (id === undefined) return 'is missing: every object needs an "id"';
  if (typeof id !== 'string') return 'must be a string';
  if (id === '') return 'must not be empty';
  if (isLongerThan(id, MAX_ID_LENGTH)) return `must have at most ${MAX_ID_LENGTH} characters`;
  return undefined;
}

/**
 * Parses a body.
 * @param example what should have come, where nothing has
 * @throws InvalidWriteError
 */
export function parseJson(text: string, example = '{"data": {…}} or {"data": [{…}, …]}'): unknown {
  if (text.trim() === '') throw invalid(`the body is empty: send ${example}`, '');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson(error);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string, path: string): InvalidWriteError {
  const issues = new Issues();
  issues.add(() => path, message);
  return new InvalidWriteError(message, issues);
}
