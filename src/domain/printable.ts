/** Text for terminals: what others have sent must not steer one, or show something else than is there. */

/**
 * Controls (C0, DEL, C1), directions and marks of bidirectional text, separators of lines, and what is invisible. Joiners
 * (U+200C, U+200D) stay, which scripts and emoji need. Each line of the log goes through: properties of Unicode take thrice as long.
 */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
  /[\0-\x08\v-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udc7f]/g;

/**
 * Replaces each character that a terminal may obey by its JSON escape, such as `\u001b`. JSON stays the same JSON: inside of
 * its strings an escape means the character. Line feeds and tabs stay.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** Puts text on one line, so that it can't pass for a line of its own. */
export function oneLine(text: string): string {
  return printable(text.replace(/[\r\n\t]+/g, ' '));
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }).join('');
}
