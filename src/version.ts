/** Which Inlet this is. */
import { readFileSync } from 'node:fs';

/** The version in package.json, which lies above both src/ and dist/. */
export function packageVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
