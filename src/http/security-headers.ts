/**
 * Headers that tell browsers to make nothing of an answer but data. They are set before a route runs, so that one
 * that serves something else (pages) can set others.
 */
const HEADERS: Readonly<Record<string, string>> = {
  // What is stored may look like a page, and must not be run as one.
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': 'same-origin',
  // Signed URLs are rights, and must not get into another site's log.
  'referrer-policy': 'no-referrer',
  // Answers hold data that only the key's owner may see.
  'cache-control': 'no-store',
};

/** A year, as usual. Without includeSubDomains: other hosts of the domain are not ours. */
const STRICT_TRANSPORT = { 'strict-transport-security': 'max-age=31536000' };

/** @param overTls whether clients reach this server by https */
export function securityHeaders(overTls: boolean): Readonly<Record<string, string>> {
  return overTls ? { ...HEADERS, ...STRICT_TRANSPORT } : HEADERS;
}
