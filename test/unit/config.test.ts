import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';
import { readConfig } from '../../src/config.ts';
import { refused } from '../support/refused-settings.ts';

const SECRET = 's3cr3t';

/** What these are is checked together with others, when they are numbers already. */
const dependent = new Set(['INLET_BODY_MEMORY', 'INLET_QUEUE_LOW_MARK']);

/** That it is refused in one line which names the variable, and shows nothing that could be a secret. */
function expectMistake(variable: string, text: string, message: RegExp): void {
  const line = refused({ [variable]: text });
  expect(line).toMatch(message);
  expect(line.startsWith(`${variable} `)).toBe(true);
  expect(line).not.toMatch(/\n|s3|cr3t|\.sock/);
}

describe('readConfig', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toEqual({
      port: 8080,
      host: '127.0.0.1',
      databaseUrl: undefined,
      redisUrl: undefined,
      redisPrefix: 'inlet',
      dataDir: '.inlet',
      apiKeys: undefined,
      publicUrl: undefined,
      trustProxy: undefined,
      bodyLimit: 10 * 1024 * 1024,
      bodyMemory: 48 * 1024 * 1024,
      maxObjects: 10_000,
      drainTime: 0,
      workerPort: 8081,
      workerConcurrency: 4,
      historyLimit: 100,
      historyRetention: 90 * 24 * 3_600_000,
      requestRetention: 30 * 24 * 3_600_000,
      queueHighMark: 10_000,
      queueLowMark: 8_000,
      webhookAllowHttp: false,
      webhookAllowNetworks: undefined,
      webhookConcurrency: 10,
      webhookRetention: 30 * 24 * 3_600_000,
      evaluator: undefined,
      evaluatorConcurrency: 8,
      evaluatorTimeout: 30_000,
      requireDurableQueue: false,
      metricsAccess: 'auto',
      otlpEndpoint: undefined,
      logLevel: 'info',
    });
  });

  it('takes an empty variable, or one of white space, as unset', () => {
    const empty = Object.values(SETTINGS).map(({ variable }, i) => [variable, i % 2 ? '' : ' \t']);
    expect(readConfig(Object.fromEntries(empty))).toEqual(readConfig({}));
  });

  it('passes over variables that are not its own', () => {
    expect(readConfig({ INLET_NO_SUCH: 'x', port: '1', PATH: '/bin' })).toEqual(readConfig({}));
  });

  it('reads every setting', () => {
    expect(
      readConfig({
        PORT: '0',
        HOST: '0.0.0.0',
        DATABASE_URL: 'postgres://u:p@db:5432/inlet?sslmode=require',
        REDIS_URL: 'rediss://:p@redis:6380/1',
        INLET_REDIS_PREFIX: '{shop_1}',
        INLET_DATA_DIR: '/var/lib/inlet data',
        INLET_API_KEYS: 'one,two',
        INLET_PUBLIC_URL: 'https://inlet.example.com',
        INLET_TRUST_PROXY: '10.0.0.7, fd00::/8,loopback',
        INLET_BODY_LIMIT: '1mb',
        INLET_BODY_MEMORY: '2gb',
        INLET_MAX_OBJECTS: '1',
        INLET_DRAIN_TIME: '10s',
        INLET_WORKER_PORT: '65535',
        INLET_WORKER_CONCURRENCY: '64',
        INLET_HISTORY_LIMIT: '0',
        INLET_HISTORY_RETENTION: '12h',
        INLET_REQUEST_RETENTION: '90m',
        INLET_QUEUE_HIGH_MARK: '5',
        INLET_QUEUE_LOW_MARK: '4',
        INLET_WEBHOOK_ALLOW_HTTP: 'true',
        INLET_WEBHOOK_ALLOW_NETWORKS: '10.0.0.0/8, ::1',
        INLET_WEBHOOK_CONCURRENCY: '1',
        INLET_WEBHOOK_RETENTION: '1s',
        INLET_EVALUATOR: './evaluator.js',
        INLET_EVALUATOR_CONCURRENCY: '2',
        INLET_EVALUATOR_TIMEOUT: '5m',
        INLET_REQUIRE_DURABLE_QUEUE: 'true',
        INLET_METRICS_ACCESS: 'admin',
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
        LOG_LEVEL: 'silent',
      }),
    ).toEqual({
      port: 0,
      host: '0.0.0.0',
      databaseUrl: 'postgres://u:p@db:5432/inlet?sslmode=verify-full',
      redisUrl: 'rediss://:p@redis:6380/1',
      redisPrefix: '{shop_1}',
      dataDir: '/var/lib/inlet data',
      apiKeys: ['one', 'two'],
      publicUrl: 'https://inlet.example.com',
      trustProxy: ['10.0.0.7', 'fd00::/8', 'loopback'],
      bodyLimit: 1024 * 1024,
      bodyMemory: 2 * 1024 ** 3,
      maxObjects: 1,
      drainTime: 10_000,
      workerPort: 65_535,
      workerConcurrency: 64,
      historyLimit: 0,
      historyRetention: 12 * 3_600_000,
      requestRetention: 90 * 60_000,
      queueHighMark: 5,
      queueLowMark: 4,
      webhookAllowHttp: true,
      webhookAllowNetworks: ['10.0.0.0/8', '::1'],
      webhookConcurrency: 1,
      webhookRetention: 1_000,
      evaluator: './evaluator.js',
      evaluatorConcurrency: 2,
      evaluatorTimeout: 300_000,
      requireDurableQueue: true,
      metricsAccess: 'admin',
      otlpEndpoint: 'http://collector:4318',
      logLevel: 'silent',
    });
  });

  it('leaves out white space around a value', () => {
    expect(readConfig({ PORT: ' 81\n', INLET_API_KEYS: ' a , b ' })).toMatchObject({
      port: 81,
      apiKeys: ['a', 'b'],
    });
  });

  it.each([
    ['1024', 1024],
    ['1024b', 1024],
    ['1kb', 1024],
    ['1KB', 1024],
    ['100kb', 102_400],
    ['3mb', 3 * 1024 * 1024],
    ['64mb', 64 * 1024 * 1024],
    ['64Mb', 64 * 1024 * 1024],
    ['65536kb', 64 * 1024 * 1024],
    ['67108864', 64 * 1024 * 1024],
  ])('reads the size %s as %d bytes', (text, bytes) => {
    expect(readConfig({ INLET_BODY_LIMIT: text, INLET_BODY_MEMORY: '64mb' }).bodyLimit).toBe(bytes);
  });

  it.each([
    ['1s', 1_000],
    ['90m', 5_400_000],
    ['12H', 43_200_000],
    ['30d', 2_592_000_000],
    ['36500d', 3_153_600_000_000],
  ])('reads the time %s as %d milliseconds', (text, milliseconds) => {
    expect(readConfig({ INLET_HISTORY_RETENTION: text }).historyRetention).toBe(milliseconds);
  });

  it.each([
    'postgres://localhost/db',
    'postgresql://u@h/d',
    'postgres://u:p@%2Fvar%2Frun/d',
    'postgres:///d?host=/var/run/postgresql',
    'postgres://u:p@/d?host=/var/run/postgresql',
    'postgres://u:a,b@[::1]:5432/d?sslmode=no-verify&target_session_attrs=read-write&connect_timeout=2',
    'postgres://h?dbname=',
    'postgres://h/d?dbname=d&hostaddr=10.0.0.1',
    `postgres://h/d?sslrootcert=${encodeURIComponent(fileURLToPath(import.meta.url))}`,
  ])('takes %s as DATABASE_URL', (text) => {
    expect(readConfig({ DATABASE_URL: text }).databaseUrl).toBe(text);
  });

  it.each([
    ['postgres://u:s3cr3t@a,b/db', /names several hosts.*name the primary/],
    ['postgres://u:s3cr3t@a:1,b:2/db', /names several hosts/],
    ['postgres://u:s3,cr3t@[::1]:1,b/db', /names several hosts/],
    ['postgres://u:s3cr3t@/db?host=a,b', /names several hosts/],
    ['postgres://u:s3cr3t@a/db?host=a%2Cb&port=1%2C2', /names several hosts/],
    ['postgres://u:s3cr3t@a/db?port=1,2', /names several hosts/],
    ['postgres://u:s3cr3t@a/db?port=s3cr3t', /port/],
    ['postgres://u:s3cr3t@a?dbname=db', /"dbname".*path/],
    ['postgres://u:s3cr3t@a/other?dbname=db', /"dbname"/],
    ['postgres:///db?service=s3cr3t', /"service"/],
    ['postgres:///db?hostaddr=10.0.0.1', /"hostaddr"/],
    ['postgres://u:s3cr3t@a/db?sslmode=requir', /sslmode.*verify-full/],
    ['postgres://u:s3cr3t@a/db?sslrootcert=/no/such/s3cr3t', /"sslrootcert".*ENOENT/],
  ])('refuses the DATABASE_URL %s, which pg would misread', (text, message) => {
    expectMistake('DATABASE_URL', text, message);
  });

  it.each([
    'redis://h',
    'redis://h/',
    'redis://h:6379/3/',
    'rediss://u:a,b@[::1]:6380/1?family=6',
    'redis://h?db=3',
  ])('takes %s as REDIS_URL', (text) => {
    expect(readConfig({ REDIS_URL: text }).redisUrl).toBe(text);
  });

  it.each([
    ['redis://:s3cr3t@a,b', /names several Redis servers.*name the primary/],
    ['redis://:s3cr3t@a:1,b:2/0', /names several/],
    ['redis://:s3cr3t@a:1,redis://b:2', /names several/],
    ['redis://?host=a,b', /names several/],
    ['redis+sentinel://:s3cr3t@a:26379/mymaster', /names several.*Sentinel/],
    ['redis-cluster://a', /names several/],
    ['redis://a?sentinels=b:26379&name=mymaster', /names several/],
    ['redis://a/s3cr3t', /no number/],
    ['redis:///var/run/s3cr3t.sock', /no number.*sockets/],
    ['redis://a/0x1', /no number/],
    ['redis://a/-1', /no number/],
    ['redis://a?db=x', /no number/],
    ['redis://:s3%cr3t@a', /"%" in its user or password.*%25/],
  ])('refuses the REDIS_URL %s, which ioredis would misread', (text, message) => {
    expectMistake('REDIS_URL', text, message);
  });

  it('takes the slashes off the end of INLET_PUBLIC_URL, to which paths are added', () => {
    expect(readConfig({ INLET_PUBLIC_URL: 'https://example.com/' }).publicUrl).toBe('https://example.com');
    expect(readConfig({ INLET_PUBLIC_URL: 'http://h:1/inlet//' }).publicUrl).toBe('http://h:1/inlet');
  });

  it('takes API keys of 1 to 512 printable characters', () => {
    const keys = ['x', 'y'.repeat(512), '!"#$%&\'()*+-./09:;<=>?@AZ[\\]^_`az{|}~'];
    expect(readConfig({ INLET_API_KEYS: keys.join() }).apiKeys).toEqual(keys);
  });

  it('refuses a URL for migrations alone: the embedded database has none', () => {
    const environment = { DATABASE_MIGRATION_URL: 'postgres://owner@h/d' };
    expect(() => readConfig(environment)).toThrow(/DATABASE_MIGRATION_URL is set and DATABASE_URL is not/);
  });

  it.each([
    ['PORT', ['-1', '65536', '80.5', '0x50', '1e3', 'http', '8080 8081', '+80', '9'.repeat(400)]],
    ['HOST', ['local host', 'http://localhost', 'a/b', 'a,b']],
    [
      'DATABASE_URL',
      ['localhost', 'mysql://h/d', 'http://h/d', 'redis://h', 'postgres:/h/d', '/var/run/postgres'],
    ],
    ['REDIS_URL', ['localhost:6379', 'http://h', 'postgres://h/d', 'redis', 'redis:/h', 'redis:h']],
    ['INLET_REDIS_PREFIX', ['a:b', 'a b', '{a', 'a}', '{}', '{a}b', 'x'.repeat(65), `{${'x'.repeat(65)}}`]],
    ['INLET_API_KEYS', [',', 'a,', ',a', 'a,,b', 'a b', 'é', 'x'.repeat(513), 'a\tb', 'a,b\u007f']],
    ['INLET_PUBLIC_URL', ['inlet.example.com', 'ftp://h', '/inlet', 'localhost:8080']],
    [
      'INLET_BODY_LIMIT',
      ['0', '1023', '65mb', '1gb', '1tb', '10 mb', '1.5mb', '-1mb', 'mb', '67108865', '10m'],
    ],
    [
      'INLET_TRUST_PROXY',
      [
        'true',
        '1',
        '*',
        '0.0.0.0/0',
        '::/0',
        '10.0.0.0/33',
        'fd00::/129',
        '10.0.0',
        'proxy',
        '10.0.0.7,',
        ',',
      ],
    ],
    ['INLET_BODY_MEMORY', ['0', '17gb', '1mb', '10485759', '64 mb']],
    ['INLET_QUEUE_HIGH_MARK', ['0', '-1', '1.5', 'high']],
    ['INLET_QUEUE_LOW_MARK', ['10000', '20000', '-1', 'low']],
    ['INLET_METRICS_ACCESS', ['closed', 'OPEN', 'true']],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', ['collector:4318', 'grpc://collector', '/v1/traces']],
    ['INLET_MAX_OBJECTS', ['0', '100001', '-1', '1.5', 'many']],
    ['INLET_DRAIN_TIME', ['-1s', '11s', '5', '1m']],
    ['INLET_WORKER_PORT', ['-1', '65536', 'x']],
    ['INLET_WORKER_CONCURRENCY', ['0', '65', 'x']],
    ['INLET_HISTORY_LIMIT', ['-1', '1000001', '1.5', 'off']],
    ['INLET_HISTORY_RETENTION', ['0d', '90', '36501d', '1.5d', '-1d', '1w', 'd', '1 d', 'forever']],
    ['INLET_REQUEST_RETENTION', ['0s', '500ms', '9'.repeat(400)]],
    ['INLET_WEBHOOK_ALLOW_HTTP', ['yes', '1']],
    ['INLET_WEBHOOK_ALLOW_NETWORKS', ['loopback', '10.0.0.0/33', '0.0.0.0/0', 'localhost', ',']],
    ['INLET_WEBHOOK_CONCURRENCY', ['0', '1001', 'all']],
    ['INLET_WEBHOOK_RETENTION', ['0s', '30']],
    ['INLET_EVALUATOR_CONCURRENCY', ['0', '1001']],
    ['INLET_EVALUATOR_TIMEOUT', ['0s', '30', '1.5m']],
    ['INLET_REQUIRE_DURABLE_QUEUE', ['yes', '1', 'TRUE', 'on']],
    ['LOG_LEVEL', ['verbose', 'INFO', '30']],
  ])('stops at a bad %s with one line that names it and what is allowed', (variable, values) => {
    const entry = Object.values(SETTINGS).find((setting) => setting.variable === variable);
    for (const value of values) {
      const message = refused({ [variable]: value });
      expect(message).toMatch(new RegExp(`^${variable} is `));
      expect(message).toContain(`must be ${entry?.allowed}`);
      if (!entry?.secret && !dependent.has(variable)) expect(message).toContain(JSON.stringify(value));
    }
  });

  it('stays on one line whatever was found', () => {
    expect(refused({ LOG_LEVEL: 'info\nLOG_LEVEL=debug\r\u001b[31m' })).not.toMatch(/\p{Cc}/u);
  });

  it.each([
    ['DATABASE_URL', `mysql://user:${SECRET}@host/db`],
    ['DATABASE_URL', `postgres://user:${SECRET}@host:notaport/db`],
    ['REDIS_URL', `http://:${SECRET}@host`],
    ['REDIS_URL', `${SECRET}@host:6379`],
    ['INLET_API_KEYS', `${SECRET},two words`],
    ['INLET_API_KEYS', `${SECRET},${'x'.repeat(513)}`],
  ])('never shows what it found in %s', (variable, value) => {
    const environment = { [variable]: value };
    expect(refused(environment)).not.toContain(SECRET);
    try {
      readConfig(environment);
    } catch (error) {
      // Nor in what a log would show of the error beside its message.
      expect(String((error as Error).stack)).not.toContain(SECRET);
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(SECRET);
    }
  });

  it('takes the words HOST:PORT for the default nowhere but in INLET_PUBLIC_URL', () => {
    expect(readConfig({ INLET_DATA_DIR: 'http://HOST:PORT' }).dataDir).toBe('http://HOST:PORT');
    expect(refused({ LOG_LEVEL: 'http://HOST:PORT' })).toMatch(/^LOG_LEVEL /);
  });
});

describe('SETTINGS', () => {
  it('describes each variable, names none twice, and takes its own defaults', () => {
    const entries = Object.values(SETTINGS);
    expect(new Set(entries.map(({ variable }) => variable)).size).toBe(entries.length);
    for (const { variable, allowed, description } of entries) {
      expect(variable).toMatch(/^[A-Z][A-Z_]*$/);
      expect(allowed).not.toBe('');
      expect(description).not.toBe('');
    }
    // The public URL's default only says what it is made of.
    const defaults = entries.flatMap(({ variable, default: value }) =>
      value && variable !== SETTINGS.publicUrl.variable ? [[variable, value]] : [],
    );
    expect(readConfig(Object.fromEntries(defaults))).toEqual(readConfig({}));
  });

  it('keeps secret what holds passwords or keys', () => {
    const secrets = Object.values(SETTINGS).filter(({ secret }) => secret);
    expect(secrets.map(({ variable }) => variable).sort()).toEqual([
      'DATABASE_MIGRATION_URL',
      'DATABASE_URL',
      'INLET_API_KEYS',
      'REDIS_URL',
    ]);
  });
});
