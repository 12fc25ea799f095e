/** The length of text in Unicode characters: what a user would count, and what JSON Schema's `maxLength` means. */

/** Whether `text` has more than `most` Unicode characters. */
export function isLongerThan(text: string, most: number): boolean {
  // Code units are counted first: characters have to be counted only where there might be too many.
  if (text.length <= most) return false;
  return text.length > 2 * most || [...text].length > most;
}
