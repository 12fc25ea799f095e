/**
 * The document's schemas of bodies accept what the checks accept, and nothing else, as far as a schema can tell: the
 * bodies here hold no U+0000, no lone surrogates, no numbers of hundreds of digits and no deep nesting.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { InvalidWriteError, isNamespace, readWrite } from '../../src/domain/objects.ts';
import { locateRequest } from '../../src/domain/request-id.ts';
import { readSettings, readUploadOptions } from '../../src/domain/settings.ts';
import { atOnce } from '../../src/domain/slices.ts';
import { componentSchema, mistakes } from '../support/document.ts';
import { rounds } from '../support/rounds.ts';

const RUNS = rounds(100);

/** Text of about the longest length, in characters of one, two and four bytes. */
const longText = fc
  .tuple(fc.constantFrom('a', 'é', '漢', '😀'), fc.integer({ min: 510, max: 514 }))
  .map(([character, length]) => character.repeat(length));

const text = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'grapheme' }).map((one) => one.replaceAll('\0', '')) },
  { weight: 1, arbitrary: longText },
  { weight: 1, arbitrary: fc.constantFrom('', '__proto__', 'constructor', 'a/b~c') },
);

const number = fc.oneof(fc.integer(), fc.constantFrom(0, -0, 0.5, -1, 1e300));
const scalar = fc.oneof(text, number, fc.boolean(), fc.constant(null));
const json: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: scalar },
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(text, scalar, { maxKeys: 3 }),
);

const sometimes = <T>(usual: fc.Arbitrary<T>, weight = 20): fc.Arbitrary<unknown> =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: json });

/** Objects made of their members one by one, so that a `__proto__` is a member too. */
const objectOf = (...members: readonly fc.Arbitrary<readonly [string, unknown]>[]): fc.Arbitrary<unknown> =>
  fc.tuple(...members).map((entries) => JSON.parse(membersText(entries)) as unknown);

function membersText(entries: readonly (readonly [string, unknown])[]): string {
  return `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`;
}

const free = fc.tuple(text, json);

const member = (name: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<readonly [string, unknown]> =>
  fc.tuple(fc.constant(name), value);

const object = sometimes(
  fc.oneof(
    { weight: 20, arbitrary: objectOf(free, member('id', sometimes(text, 40))) },
    { weight: 1, arbitrary: objectOf(free) },
  ),
);

const data = sometimes(fc.oneof(object, fc.array(object, { maxLength: 4 })));

const contentType = fc.constantFrom('image_url', 'datetime', 'metadata', 'card', 'picture');
const hint = objectOf(
  member('type', fc.constantFrom('title', 'email.replyTo', 'chat_thread', 'title', 'headline')),
  member('name', sometimes(text)),
  member('order', sometimes(number)),
);

const fieldMember = fc.oneof(
  member('content_type', contentType),
  member('display_hint', sometimes(hint)),
  member('field_limit', sometimes(fc.constantFrom(1, 0.5, 10, 0, -1), 40)),
  member('belongs_to', sometimes(text)),
  member('namespace_ref', sometimes(text)),
);

const field = sometimes(
  fc.oneof(
    { weight: 6, arbitrary: objectOf(fieldMember) },
    { weight: 6, arbitrary: objectOf(fieldMember, fieldMember) },
    { weight: 1, arbitrary: objectOf(fieldMember, free) },
  ),
);

const schema = sometimes(
  fc.oneof(
    { weight: 20, arbitrary: objectOf(fc.tuple(text, field)) },
    { weight: 20, arbitrary: objectOf(fc.tuple(text, field), fc.tuple(text, field)) },
    { weight: 1, arbitrary: fc.integer({ min: 998, max: 1_002 }).map(manyFields) },
  ),
);

function manyFields(count: number): unknown {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, {}]));
}

const write = sometimes(
  fc.oneof(
    objectOf(member('data', data)),
    objectOf(member('data', data), member('schema', schema)),
    objectOf(member('data', data), free),
    objectOf(free),
  ),
);

const settings = sometimes(
  fc.oneof(
    { weight: 20, arbitrary: objectOf(member('schema', schema)) },
    { weight: 1, arbitrary: objectOf(member('schema', schema), free) },
    { weight: 1, arbitrary: objectOf() },
  ),
);

function isRead(read: (body: string) => unknown, body: unknown): boolean {
  try {
    read(JSON.stringify(body));
    return true;
  } catch (error) {
    if (error instanceof InvalidWriteError) return false;
    throw error;
  }
}

/** Fails where a schema and a check disagree, or where one of both outcomes hardly came up. */
function expectAgreement(
  name: string,
  bodies: fc.Arbitrary<unknown>,
  accepts: (body: unknown) => boolean,
): void {
  const outcomes = { accepted: 0, refused: 0 };
  fc.assert(
    fc.property(bodies, (body) => {
      const accepted = accepts(body);
      outcomes[accepted ? 'accepted' : 'refused'] += 1;
      const found = mistakes(componentSchema(name), body);
      expect(found.length === 0, `${accepted ? 'is accepted' : 'is refused'}; ${found.join()}`).toBe(
        accepted,
      );
    }),
    { numRuns: RUNS },
  );
  expect(Math.min(outcomes.accepted, outcomes.refused)).toBeGreaterThan(RUNS / 10);
}

it('a write', () => {
  expectAgreement('Write', write, (body) =>
    isRead((text) => readWrite(text, Number.POSITIVE_INFINITY), body),
  );
});

it('settings', () => {
  expectAgreement('SettingsBody', settings, (body) => isRead((text) => atOnce(readSettings(text)), body));
});

it('what comes along with a file', () => {
  expectAgreement('UploadOptions', settings, (body) =>
    isRead((text) => atOnce(readUploadOptions(text)), body),
  );
});

it('a namespace', () => {
  const name = fc.string({ unit: fc.constantFrom(...'azAZ09_-'), minLength: 0, maxLength: 140 });
  const names = fc.oneof(
    { weight: 3, arbitrary: name },
    text,
    fc.constantFrom('a'.repeat(128), 'a'.repeat(129), 'a\n'),
  );
  expectAgreement('Namespace', names, (body) => isNamespace(body as string));
});

it('a request id', () => {
  const ulid = fc.string({
    unit: fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz'),
    minLength: 25,
    maxLength: 25,
  });
  const ids = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(...'01789'), ulid).map(([first, rest]) => `req_${first}${rest}`),
    },
    ulid,
    fc.constantFrom(
      'req_01h2m7qdmdjckc30e1mnq6xqf',
      'req_01H2M7QDMDJCKC30E1MNQ6XQFD',
      'req_01h2m7qdmdjckc30e1mnq6xqfd\n',
    ),
  );
  expectAgreement('RequestId', ids, (body) => locateRequest(body as string) !== undefined);
});
