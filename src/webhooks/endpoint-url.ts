/**
 * Which URLs an endpoint may have. What a name resolves to is looked at when something is sent; a literal address is
 * refused at once, so that whoever makes the endpoint learns of it.
 */
import type { UrlMistake } from '../domain/webhook-endpoint.ts';
import { literalAddress } from './addresses.ts';

export interface UrlRules {
  /** Whether `http:` will do. */
  readonly allowHttp: boolean;
  /** Whether an address may be connected to. */
  readonly isAllowedAddress: (address: string) => boolean;
}

/** URLs would be parsed without white space and control characters; kept is what was sent. */
const FORM = /^https?:\/\/[^\s\p{Cc}\\]+$/iu;

/** What the name `localhost`, and every name below it, stands for (RFC 6761, 6.3). */
const LOCALHOST = /(?:^|\.)localhost\.?$/;
const LOOPBACK = ['127.0.0.1', '::1'];

/** Makes the check of URLs. */
export function createUrlCheck({ allowHttp, isAllowedAddress }: UrlRules): UrlMistake {
  const schemes = allowHttp ? 'https: or http:' : 'https:';
  return (text) => {
    if (!FORM.test(text) || !URL.canParse(text)) return `must be an absolute URL with ${schemes}`;
    const { protocol, username, password, hostname, hash } = new URL(text);
    if (protocol === 'http:' && !allowHttp)
      return 'must be https: this server sends nothing over plain http (INLET_WEBHOOK_ALLOW_HTTP)';
    if (username !== '' || password !== '')
      return 'must have no user and no password: verify the signature of what comes instead';
    if (hash !== '' || text.endsWith('#')) return 'must have no fragment: it is never sent';
    const literal = literalAddress(hostname);
    const addresses = literal ? [literal] : LOCALHOST.test(hostname) ? LOOPBACK : undefined;
    if (addresses && !addresses.some(isAllowedAddress))
      return `${hostname} is not a public address, and its network is not allowed here (INLET_WEBHOOK_ALLOW_NETWORKS)`;
    return undefined;
  };
}
