#!/usr/bin/env node
/**
 * `npm run test:faults -- --minutes 30 --seed 123 --log faults.log`: all tests of faults, the random ones for so long on
 * both queues at the same time, and from this seed. `npm run test:soak -- --minutes 60 --queue postgres`: the soak.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';

const [suite, ...rest] = process.argv.slice(2);
const { values } = parseArgs({
  args: rest,
  options: {
    minutes: { type: 'string', default: suite === 'soak' ? '60' : '5' },
    seed: { type: 'string' },
    log: { type: 'string' },
    only: { type: 'string' },
    queue: { type: 'string', default: 'redis' },
    // Only the random faults, without the tests of broken builds, crash points, disasters and upgrades.
    random: { type: 'boolean', default: false },
  },
});
const files = {
  soak: ['test/deep/soak'],
  faults: values.random
    ? ['test/deep/random-faults']
    : ['random-faults', 'broken-builds', 'crash-points', 'disasters', 'upgrades'].map(
        (name) => `test/deep/${name}`,
      ),
}[suite];
if (!files || !(Number(values.minutes) >= 0)) {
  process.stderr.write(
    'usage: run.mjs faults|soak [--minutes N] [--seed N] [--log FILE] [--random] [--only REGEXP] [--queue redis|postgres]\n',
  );
  process.exit(2);
}
const child = spawn('npx', ['vitest', 'run', '--project', 'deep', ...files], {
  stdio: 'inherit',
  env: {
    ...process.env,
    FAULTS_SUITE: suite,
    FAULTS_MINUTES: values.minutes,
    FAULTS_QUEUE: values.queue,
    ...(values.only ? { FAULTS_ONLY: values.only } : {}),
    ...(values.seed ? { FAULTS_SEED: values.seed } : {}),
    ...(values.log ? { FAULTS_LOG: values.log } : {}),
  },
});
child.on('exit', (code) => process.exit(code ?? 1));
