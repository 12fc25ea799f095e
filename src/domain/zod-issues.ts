/** What zod finds wrong with a parsed body, as issues with JSON pointers: the same for every route. */
import type { z } from 'zod';
import { pointerTo } from './json-text.ts';
import type { Issues } from './storable.ts';

/**
 * Adds what zod has found. A member that isn't known is named by a pointer of its own.
 * @param path where the value that was checked stands in the body
 * @param issues gets an issue for each place
 */
export function addZodIssues(error: z.ZodError | undefined, path: readonly string[], issues: Issues): void {
  for (const issue of error?.issues ?? []) {
    const place = [...path, ...issue.path.map(String)];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) issues.add(() => pointerTo([...place, key]), 'is not known here');
    } else issues.add(() => pointerTo(place), issue.message);
  }
}
