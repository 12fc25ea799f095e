/** URLs as they may be shown: without the parts that hold secrets. */

/** Hides all that may be the user information or the query of a URL, also of one that is mistyped. */
export function maskUrl(text: string): string {
  return text.replace(/^([^:@]*:\/\/)?.*@/s, '$1***@').replace(/\?.*/s, '?***');
}
