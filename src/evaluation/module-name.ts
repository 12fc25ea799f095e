/** How the evaluator's module is imported. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * @param name a path relative to the working directory, a file URL, or the name of a package
 * @returns what to import from the working directory: what is no file there is left as it is, as the name of a
 *   package that is installed there
 */
export function importName(name: string): string {
  if (name.startsWith('file:')) return name;
  const file = path.resolve(name);
  const isPath = name.startsWith('.') || path.isAbsolute(name) || existsSync(file);
  return isPath ? pathToFileURL(file).href : name;
}

/**
 * @returns the file that a name may have been meant as though it was taken as that of a package, because there is no such
 *   file; undefined where it can't have been
 */
export function missingFile(name: string): string | undefined {
  const looksLikeFile = /\.[cm]?[jt]s$/.test(name);
  return looksLikeFile && importName(name) === name && !name.startsWith('file:')
    ? path.resolve(name)
    : undefined;
}
