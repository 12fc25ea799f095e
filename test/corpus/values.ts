/** Values that Postgres can't hold, or not at a fair price: refused with the place. */
import type { RefusedValue } from './cases.ts';
import { many, nested } from './cases.ts';

const DIGITS = /1000 digits/;
const NUL = /U\+0000/;
const SURROGATE = /surrogate/;
const DEEP = /1000 levels/;

export const LONG_NUMBERS: readonly RefusedValue[] = [
  ['1,001 digits', many('1', 1_001), '', DIGITS],
  ['1,001 digits behind a minus', `-${many('9', 1_001)}`, '', DIGITS],
  ['1,001 digits by an exponent', '1e1000', '', DIGITS],
  ['with a capital E', '1E1000', '', DIGITS],
  ['with a plus sign', '1e+1000', '', DIGITS],
  ['with zeros before the exponent', '1e0001000', '', DIGITS],
  ['1,001 digits of a number of two digits', '15e999', '', DIGITS],
  ['1,000 digits behind the point', `0.${many('3', 1_000)}`, '', DIGITS],
  ['1,000 digits behind the point by an exponent', '1e-1000', '', DIGITS],
  ['500 digits on one side and 501 on the other', `${many('1', 500)}.${many('1', 501)}`, '', DIGITS],
  ['a zero with 1,000 digits behind the point', '0e-1000', '', DIGITS],
  ['more than numeric holds by far', '1e400000', '', DIGITS],
  ['a number that would be as long as a disk', '9e99999999', '', DIGITS],
  ['more than numeric holds', '1e131073', '', DIGITS],
  ['less than numeric holds', '1e-16384', '', DIGITS],
  ['an exponent beyond 32 bits', '1e99999999999', '', DIGITS],
  ['an exponent beyond 64 bits', '1e99999999999999999999999', '', DIGITS],
  ['a zero with an exponent that Postgres can not read', '0e2000000000', '', DIGITS],
  ['in a list', '[1,[2,1e1000]]', '/1/1', DIGITS],
  ['under a name that has to be escaped in the pointer', '{"a/b~c":1e1000}', '/a~1b~0c', DIGITS],
  ['under an empty name', '{"":1e1000}', '/', DIGITS],
  ['where a later member of the name would replace it', '{"n":1e1000,"n":1}', '/n', DIGITS],
];

export const BAD_STRINGS: readonly RefusedValue[] = [
  ['U+0000', '"\\u0000"', '', NUL],
  ['U+0000 in the middle', '"a\\u0000b"', '', NUL],
  ['U+0000 in a list', '["a","\\u0000"]', '/1', NUL],
  ['U+0000 behind an escaped backslash', '"\\\\\\u0000"', '', NUL],
  ['U+0000 as a name', '{"\\u0000":1}', '/\u0000', NUL],
  ['U+0000 in a name', '{"a":{"b\\u0000":1}}', '/a/b\u0000', NUL],
  ['a lone high surrogate', '"\\ud800"', '', SURROGATE],
  ['the last high surrogate', '"\\udbff"', '', SURROGATE],
  ['a lone low surrogate', '"\\udc00"', '', SURROGATE],
  ['the last low surrogate', '"\\udfff"', '', SURROGATE],
  ['in capitals', '"\\uD83D"', '', SURROGATE],
  ['a high surrogate before a letter', '"\\ud83dx"', '', SURROGATE],
  ['a high surrogate before an escape', '"\\ud83d\\n"', '', SURROGATE],
  ['a high surrogate before a character outside of the first plane', '"\\ud83d😀"', '', SURROGATE],
  ['two high surrogates before a low one', '"\\ud83d\\ud83d\\ude00"', '', SURROGATE],
  ['a pair with one more low surrogate', '"\\ud83d\\ude00\\ude00"', '', SURROGATE],
  ['a lone surrogate as a name', '{"\\ud800":1}', '/\ufffd', SURROGATE],
  ['deep within', '{"a":[{"b":["\\ud800"]}]}', '/a/0/b/0', SURROGATE],
  ['where a later member of the name would replace it', '{"s":"\\ud800","s":""}', '/s', SURROGATE],
];

// The object itself is the first level.
export const DEEP_VALUES: readonly RefusedValue[] = [
  ['1,001 levels of lists', nested('[', '', ']', 1_000), many('/0', 999), DEEP],
  ['1,001 levels of objects', nested('{"a":', '{}', '}', 999), many('/a', 999), DEEP],
  [
    '1,001 levels of both in turn',
    nested('[{"a":', '{}', '}]', 500).slice(0),
    many('/0/a', 500).slice(0, -2),
    DEEP,
  ],
  ['10,000 levels', nested('[', '1', ']', 10_000), many('/0', 999), DEEP],
  ['100,000 levels', nested('[', '', ']', 100_000), many('/0', 999), DEEP],
  ['beside what is not deep', `{"x":[1],"y":${nested('[', '', ']', 999)}}`, `/y${many('/0', 998)}`, DEEP],
];
