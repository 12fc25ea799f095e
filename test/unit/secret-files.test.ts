/** Secrets that are read from files. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeConfig, readConfig } from '../../src/config.ts';
import { refused } from '../support/refused-settings.ts';

const SECRET = 's3cr3t';

describe('a secret in a file', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'inlet-config-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function file(text: string): string {
    const path = join(folder, 'secret');
    writeFileSync(path, text);
    return path;
  }

  it.each([
    ['DATABASE_URL', 'databaseUrl', 'postgres://u:p@h/d', 'postgres://u:p@h/d'],
    ['REDIS_URL', 'redisUrl', 'redis://:p@h', 'redis://:p@h'],
    ['INLET_API_KEYS', 'apiKeys', 'one,two', ['one', 'two']],
  ] as const)(
    '%s is read from the file that its variable with _FILE names',
    (variable, name, text, value) => {
      const config = readConfig({ [`${variable}_FILE`]: file(`${text}\n`), [variable]: ' ' });
      expect(config[name]).toEqual(value);
      expect(describeConfig(config)[variable]).toBe('set');
    },
  );

  it('is refused beside the variable itself', () => {
    expect(refused({ REDIS_URL: 'redis://h', REDIS_URL_FILE: file('redis://h') })).toMatch(
      /^REDIS_URL and REDIS_URL_FILE are both set/,
    );
  });

  it('that is not there, or empty, stops the start with its path', () => {
    expect(refused({ REDIS_URL_FILE: '/no/such/file' })).toMatch(
      /^REDIS_URL_FILE is "\/no\/such\/file".*ENOENT/,
    );
    expect(refused({ REDIS_URL_FILE: file(' \n') })).toMatch(/^REDIS_URL_FILE is .*it is empty/);
  });

  it('must be a regular file: pipes and devices may never end', () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, '/dev/zero', folder]) {
      expect(refused({ DATABASE_URL_FILE: path })).toMatch(/^DATABASE_URL_FILE is .*no regular file/);
    }
  });

  it('that is not valid is not shown', () => {
    const message = refused({ DATABASE_URL_FILE: file(`mysql://u:${SECRET}@h/d`) });
    expect(message).toMatch(/^DATABASE_URL is a value \(not shown/);
    expect(message).not.toContain(SECRET);
  });

  it('is there for secrets alone', () => {
    expect(readConfig({ LOG_LEVEL_FILE: file('debug') }).logLevel).toBe('info');
  });
});
