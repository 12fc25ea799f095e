/** Signed paths: whoever holds the URL may use it until it expires, without a key. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

const EXPIRES = /^\d{1,12}$/;

/** What signs a path, for the API's document; {@link isSigned} is what checks it. */
export const SIGNED_QUERY = z.object({
  expires: z
    .string()
    .regex(EXPIRES)
    .meta({
      description: 'Until when the URL may be used, in seconds since 1970.',
      examples: ['1795374000'],
    }),
  signature: z.string().meta({
    description: 'What shows that this server has made the URL, for this path and this time.',
    examples: ['p3nTnVyTrVgGfeFRCcV5cpyvyt0QfrLrBkNGw6ZWvVs'],
  }),
});

/**
 * Signs a path.
 * @param expiresAt seconds since 1970
 * @returns the path with `expires` and `signature` as its query
 */
export function signPath(secret: Buffer, path: string, expiresAt: number): string {
  return `${path}?expires=${expiresAt}&signature=${signatureOf(secret, path, String(expiresAt))}`;
}

/**
 * Whether a path was signed by us and hasn't expired. The comparison takes the same time whatever differs.
 * @param query the query parameters that came with the path
 * @param now seconds since 1970
 */
export function isSigned(
  secret: Buffer,
  path: string,
  query: Readonly<Record<string, unknown>>,
  now = Date.now() / 1000,
): boolean {
  const { expires, signature } = query;
  if (typeof expires !== 'string' || typeof signature !== 'string' || !EXPIRES.test(expires)) return false;
  const expected = Buffer.from(signatureOf(secret, path, expires));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected) && Number(expires) > now;
}

function signatureOf(secret: Buffer, path: string, expires: string): string {
  return createHmac('sha256', secret).update(`${expires}\n${path}`).digest('base64url');
}
