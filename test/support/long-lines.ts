/** Files with lines of many megabytes, sent at the same time. */
import { expect } from 'vitest';
import { lines, newImport, uploaded } from './imports.ts';
import type { TestInlet } from './inlet.ts';

const MIB = 1024 * 1024;

/**
 * Sends files, each with long lines and one that is too long, and expects what could be taken in its order.
 * @param tooLong more bytes than a line may have
 */
export async function expectLongLines(
  server: TestInlet,
  { files, tooLong }: { files: number; tooLong: number },
): Promise<void> {
  const long = (id: string): string => `{"id":"${id}","v":"${'漢'.repeat(MIB)}"}\n`;
  const refused = `{"id":"x","v":"${'x'.repeat(tooLong)}"}\n`;
  const file = `${lines(3)}${long('l1')}${lines(2, 'p')}${refused}${long('l2')}${long('l3').trim()}`;
  const requests = await Promise.all(
    Array.from({ length: files }, async (_, n) => {
      const { requestId, upload_url } = await newImport(server, `long${n}`);
      expect((await uploaded(upload_url, file)).counts).toMatchObject({ objects: 9, failed: 1 });
      return server.done(`long${n}`, requestId);
    }),
  );
  for (const { data, errors } of requests) {
    expect(data.map(({ id }) => id)).toEqual(['o0', 'o1', 'o2', 'l1', 'p0', 'p1', 'l2', 'l3']);
    expect(errors).toMatchObject([{ index: 7, message: expect.stringMatching(/longer than/) }]);
  }
}
