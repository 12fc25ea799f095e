/** `npm run seed`: fills a running Inlet with made-up data. */
import { runSeed } from './seed/command.ts';

process.exitCode = await runSeed(process.argv.slice(2), process);
