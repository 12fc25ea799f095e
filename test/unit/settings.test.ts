/** What a schema may hold, and where a mistake in it is reported. */
import { describe, expect, it } from 'vitest';
import { InvalidWriteError } from '../../src/domain/objects.ts';
import { readSettings as readSliced } from '../../src/domain/settings.ts';
import { atOnce } from '../../src/domain/slices.ts';

function readSettings(text: string): string {
  return atOnce(readSliced(text));
}

function paths(body: string): string[] {
  try {
    readSettings(body);
  } catch (error) {
    if (error instanceof InvalidWriteError) return error.issues.map(({ path }) => path);
    throw error;
  }
  throw new Error(`was accepted: ${body.slice(0, 200)}`);
}

const WHOLE = `{
  "title": {"content_type": "card", "display_hint": {"type": "email.replyTo", "name": "T", "order": 1.0}},
  "__proto__": {"content_type": "metadata"}, "constructor": {}, "": {"field_limit": 0.5},
  "a/b~c": {"belongs_to": "title", "namespace_ref": "people"}
}`;

describe('readSettings takes', () => {
  it('every member there is, and gives the text of the schema as it was sent', () => {
    expect(readSettings(`{"schema":${WHOLE}}`)).toBe(WHOLE);
  });

  it.each(['{"schema":{}}', '{"schema": {} }', '{}'])('%s as an empty schema', (body) => {
    expect(readSettings(body)).toBe('{}');
  });

  it('a thousand fields', () => {
    const schema = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, {}]));
    expect(readSettings(JSON.stringify({ schema }))).toBe(JSON.stringify(schema));
  });
});

describe('readSettings refuses', () => {
  it.each([
    ['', ''],
    ['{"schema":', ''],
    ['[]', ''],
    ['null', ''],
    ['{"schemas":{}}', '/schemas'],
    ['{"schema":{},"__proto__":{}}', '/__proto__'],
    ['{"schema":null}', '/schema'],
    ['{"schema":[]}', '/schema'],
    ['{"schema":"{}"}', '/schema'],
    ['{"schema":{"f":null}}', '/schema/f'],
    ['{"schema":{"f":"metadata"}}', '/schema/f'],
    ['{"schema":{"f":{"content_type":"picture"}}}', '/schema/f/content_type'],
    ['{"schema":{"f":{"content_type":null}}}', '/schema/f/content_type'],
    ['{"schema":{"f":{"contentType":"card"}}}', '/schema/f/contentType'],
    ['{"schema":{"__proto__":{"content_type":1}}}', '/schema/__proto__/content_type'],
    ['{"schema":{"f":{"__proto__":{}}}}', '/schema/f/__proto__'],
    ['{"schema":{"constructor":[]}}', '/schema/constructor'],
    ['{"schema":{"a/b~c":{"field_limit":0}}}', '/schema/a~1b~0c/field_limit'],
    ['{"schema":{"f":{"field_limit":-1}}}', '/schema/f/field_limit'],
    ['{"schema":{"f":{"field_limit":"10"}}}', '/schema/f/field_limit'],
    ['{"schema":{"f":{"belongs_to":{}}}}', '/schema/f/belongs_to'],
    ['{"schema":{"f":{"namespace_ref":7}}}', '/schema/f/namespace_ref'],
    ['{"schema":{"f":{"display_hint":"title"}}}', '/schema/f/display_hint'],
    ['{"schema":{"f":{"display_hint":{"type":"headline"}}}}', '/schema/f/display_hint/type'],
    ['{"schema":{"f":{"display_hint":{"order":"1"}}}}', '/schema/f/display_hint/order'],
    ['{"schema":{"f":{"display_hint":{"title":"x"}}}}', '/schema/f/display_hint/title'],
    ['{"schema":{"f":{"belongs_to":"\\u0000"}}}', '/schema/f/belongs_to'],
    [`{"schema":{"${'x'.repeat(513)}":{}}}`, `/schema/${'x'.repeat(513)}`],
  ])('%.80s', (body, path) => {
    expect(paths(body)).toEqual([path]);
  });

  it('more than a thousand fields', () => {
    const schema = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`f${i}`, {}]));
    expect(paths(JSON.stringify({ schema }))).toEqual(['/schema']);
  });

  it('everything that is wrong at once', () => {
    expect(paths('{"x":1,"schema":{"a":1,"b":{"field_limit":0,"y":1}}}')).toEqual([
      '/x',
      '/schema/a',
      '/schema/b/field_limit',
      '/schema/b/y',
    ]);
  });
});
