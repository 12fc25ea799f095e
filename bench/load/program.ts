/** Programs that send or write, each a process of its own: started with one JSON argument, they print one result. */
import { fileURLToPath } from 'node:url';
import { runCommand } from '../machine/children.ts';

/** Runs one of the programs in this folder. @throws Error with its output where it fails or tells no result */
export async function runProgram<Options, Result>(name: string, options: Options): Promise<Result> {
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return resultOf(await runCommand({ command: process.execPath, args: [file, JSON.stringify(options)] }));
}

/** The options that a program was started with. */
export function programOptions<Options>(): Options {
  return JSON.parse(process.argv[2] ?? '{}') as Options;
}

/** Prints a program's result. */
export function printResult(result: object): void {
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
}

/** Finds the result in a program's output. @throws Error where there is none */
export function resultOf<Result>(output: string): Result {
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`the program told no result:\n${output}`);
  return JSON.parse(line) as Result;
}
