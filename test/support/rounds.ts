/**
 * How many rounds of random data a test goes through.
 * @param usual how many in `npm test`; the deep tests go through `TEST_ROUNDS` times as many
 */
export function rounds(usual: number): number {
  return usual * Number(process.env['TEST_ROUNDS'] ?? '1');
}
