/** What the log shows of settings, and messages about them: nothing secret. */
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';
import { describeConfig, readConfig } from '../../src/config.ts';

const SECRET = 's3cr3t';

describe('describeConfig', () => {
  it('shows every setting under the name of its variable', () => {
    const shown = describeConfig(readConfig({ PORT: '81', INLET_PUBLIC_URL: 'https://h' }));
    expect(Object.keys(shown).sort()).toEqual(
      Object.values(SETTINGS)
        .map(({ variable }) => variable)
        .sort(),
    );
    expect(shown).toMatchObject({
      PORT: 81,
      INLET_PUBLIC_URL: 'https://h',
      LOG_LEVEL: 'info',
      INLET_REQUIRE_DURABLE_QUEUE: false,
    });
  });

  it('shows of secrets only whether they are set', () => {
    const secrets = {
      DATABASE_URL: `postgres://user:${SECRET}@host/db`,
      REDIS_URL: `redis://:${SECRET}@host`,
      INLET_API_KEYS: `${SECRET},another`,
    };
    const shown = describeConfig(readConfig(secrets));
    expect(shown).toMatchObject({ DATABASE_URL: 'set', REDIS_URL: 'set', INLET_API_KEYS: 'set' });
    expect(JSON.stringify(shown)).not.toContain(SECRET);
    const urls = describeConfig(
      readConfig({
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://user:${SECRET}@collector:4318/v1?token=${SECRET}`,
        INLET_PUBLIC_URL: `https://${SECRET}@inlet.example.com/a`,
      }),
    );
    expect(urls).toMatchObject({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://***@collector:4318/v1?***',
      INLET_PUBLIC_URL: 'https://***@inlet.example.com/a',
    });
    expect(describeConfig(readConfig({}))).toMatchObject({
      DATABASE_URL: 'unset',
      REDIS_URL: 'unset',
      INLET_API_KEYS: 'unset',
      INLET_PUBLIC_URL: 'unset',
    });
  });
});

it.each([
  `http://user:${SECRET}@h?x`,
  `http://user:a/${SECRET}@h`,
  `http://user:a?${SECRET}@h`,
  `http:/user:${SECRET}@h`,
  `user:${SECRET}@h`,
  `ftp://h/?token=${SECRET}`,
])('a URL that is refused is shown without its secrets: %s', (text) => {
  for (const variable of ['INLET_PUBLIC_URL', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'DATABASE_URL', 'REDIS_URL']) {
    let message = '';
    try {
      const { publicUrl, otlpEndpoint } = readConfig({ [variable]: text });
      message = JSON.stringify(describeConfig(readConfig({ [variable]: text })));
      expect([publicUrl, otlpEndpoint]).toContain(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).not.toContain(SECRET);
  }
});
