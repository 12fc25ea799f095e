import { describe, expect, it } from 'vitest';
import { createAddressCheck } from '../../src/webhooks/addresses.ts';
import { createUrlCheck } from '../../src/webhooks/endpoint-url.ts';

const strict = createUrlCheck({ allowHttp: false, isAllowedAddress: createAddressCheck(undefined) });
const open = createUrlCheck({
  allowHttp: true,
  isAllowedAddress: createAddressCheck(['127.0.0.0/8', '10.0.0.0/8']),
});

describe('the URL of an endpoint', () => {
  it.each([
    'https://example.com',
    'https://example.com:8443/hooks?tenant=7',
    'HTTPS://EXAMPLE.COM/',
    'https://exämple.com/ü',
    'https://93.184.215.14/',
    'https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/',
    'https://localhost.example.com/',
  ])('may be %s', (url) => {
    expect(strict(url)).toBeUndefined();
  });

  it.each([
    ['', /absolute URL with https:$/],
    ['example.com', /absolute URL/],
    ['/hooks', /absolute URL/],
    ['ftp://example.com', /absolute URL/],
    ['https:example.com', /absolute URL/],
    ['https://', /absolute URL/],
    ['https://exa mple.com', /absolute URL/],
    [' https://example.com', /absolute URL/],
    ['https://example.com\n', /absolute URL/],
    ['https://example.com\\@other.example', /absolute URL/],
    ['https://example.com:99999', /absolute URL/],
    ['http://example.com', /must be https/],
    ['https://user@example.com', /no user/],
    ['https://:secret@example.com', /no user/],
    ['https://example.com/#part', /no fragment/],
    ['https://example.com/#', /no fragment/],
    ['https://127.0.0.1/', /not a public address/],
    ['https://10.1.2.3/', /not a public address/],
    ['https://2130706433/', /not a public address/],
    ['https://0x7f.1/', /not a public address/],
    ['https://127.0.0.1./', /not a public address/],
    ['https://169.254.169.254/latest/meta-data', /not a public address/],
    ['https://[::1]/', /not a public address/],
    ['https://[::ffff:10.0.0.1]/', /not a public address/],
    ['https://localhost:3000/', /not a public address/],
    ['https://LOCALHOST./', /not a public address/],
    ['https://app.localhost/', /not a public address/],
  ])('may not be %j', (url, mistake) => {
    expect(strict(url)).toMatch(mistake);
  });

  it('may be what the operator allows', () => {
    for (const url of [
      'http://example.com',
      'http://127.0.0.1:9000/',
      'http://localhost:9000',
      'https://10.1.2.3',
    ])
      expect(open(url), url).toBeUndefined();
    expect(open('http://192.168.0.1')).toMatch(/192\.168\.0\.1 is not a public address/);
    expect(open('ftp://example.com')).toMatch(/https: or http:/);
  });
});
