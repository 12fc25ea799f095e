/**
 * Random JSON documents, as text, for tests of what must hold for every document. A seed gives the same ones
 * again: where such a test fails it prints the seed, and `TEST_SEED=… npx vitest run test/unit` repeats it.
 */

/** Numbers from 0 up to 1, 1 excluded. */
export type Random = () => number;

/** A value or a member name in a document: where it stands, and the names and indexes that lead to it. */
export interface Place {
  readonly kind: 'name' | 'string' | 'number' | 'literal' | 'object' | 'array';
  readonly start: number;
  /** The offset after its last character. */
  readonly end: number;
  readonly path: readonly string[];
}

export interface RandomDocument {
  readonly text: string;
  /** In no particular order. */
  readonly places: readonly Place[];
}

/** The seed of this run. */
export const SEED = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

/** Names that are special somewhere, and few, so that members repeat. */
const NAMES = ['data', 'id', '', 'a', '__proto__', 'd"ata', 'da\\ta', 'data ', 'x~/y', '{', '0', '漢'];
/** Pieces of strings: what structures JSON, what needs escapes, what is long in UTF-8 or UTF-16. */
const PIECES = [...'ab0"\\/{}[],:~ \t\n\u0001é\u2028ﬀ漢😀', '\\"', '\\u0061', '":', '👩‍👧'];
const NUMBERS = ['0', '-0', '7', '-12', '1.0', '0.5e-3', '1E+2', '9007199254740993', '1e300', '-1.25'];
const SCALARS = ['string', 'number', 'literal'] as const;
const KINDS = [...SCALARS, 'object', 'array'] as const;
const MOST_DEPTH = 4;

/** Mulberry32 (https://github.com/bryc/code/blob/master/jshash/PRNGs.md): small, and random enough for this. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A document whose outermost value is an object or an array. */
export function randomDocument(random: Random, outermost: 'object' | 'array'): RandomDocument {
  const writer = new Writer(random);
  writer.space();
  writer.container(outermost, []);
  writer.space();
  return writer;
}

class Writer implements RandomDocument {
  text = '';
  readonly places: Place[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** White space, as it may stand between any two tokens; mostly none. */
  space(): void {
    if (this.#random() < 0.3) this.text += this.#pick([' ', '\n', '\t', '\r\n', '  \t ']);
  }

  container(kind: 'object' | 'array', path: readonly string[]): void {
    this.#place(kind, path, () => {
      const length = Math.floor(this.#random() * 5);
      this.text += kind === 'object' ? '{' : '[';
      this.space();
      for (let index = 0; index < length; index += 1) {
        if (index > 0) this.text += ',';
        this.space();
        this.#child(kind, path, index);
        this.space();
      }
      this.text += kind === 'object' ? '}' : ']';
    });
  }

  #child(kind: 'object' | 'array', path: readonly string[], index: number): void {
    if (kind === 'array') {
      this.#value([...path, String(index)]);
      return;
    }
    const name = this.#pick(NAMES);
    this.#place('name', [...path, name], () => {
      this.text += this.#literal(name);
    });
    this.space();
    this.text += ':';
    this.space();
    this.#value([...path, name]);
  }

  #value(path: readonly string[]): void {
    const kind = this.#pick(path.length < MOST_DEPTH ? KINDS : SCALARS);
    if (kind === 'object' || kind === 'array') {
      this.container(kind, path);
      return;
    }
    this.#place(kind, path, () => {
      if (kind === 'string') this.text += this.#string();
      else this.text += this.#pick(kind === 'number' ? NUMBERS : ['true', 'false', 'null']);
    });
  }

  #string(): string {
    const length = Math.floor(this.#random() * 6);
    return this.#literal(Array.from({ length }, () => this.#pick(PIECES)).join(''));
  }

  /** `value` as a string literal, in one of the many ways to write it. */
  #literal(value: string): string {
    const characters = [...value].map((character) => {
      if (this.#random() < 0.2) return character.split('').map(unicodeEscape).join('');
      if (character === '/' && this.#random() < 0.5) return '\\/';
      return JSON.stringify(character).slice(1, -1);
    });
    return `"${characters.join('')}"`;
  }

  #place(kind: Place['kind'], path: readonly string[], write: () => void): void {
    const start = this.text.length;
    write();
    this.places.push({ kind, start, end: this.text.length, path });
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T;
  }
}

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
