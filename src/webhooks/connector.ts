/**
 * Connections that lead only where webhooks may be sent to. The check stands in the connection itself: a name is resolved
 * once, and what the socket gets are the addresses that were checked. So a name can't be rebound in between.
 */
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { literalAddress } from './addresses.ts';
import type { Resolve } from './resolve.ts';

/** How long a connection may take with all its addresses, and one address where there is a further one, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;
const ADDRESS_TIMEOUT_MS = 2_500;

/** An endpoint's URL leads where webhooks may not be sent to. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
  readonly code = 'EADDRREFUSED';
}

export interface ConnectorOptions {
  readonly isAllowed: (address: string) => boolean;
  readonly resolve: Resolve;
  /** Certificates of authorities that are trusted instead of the usual ones, PEM. */
  readonly ca?: string | undefined;
}

/** Makes what undici connects with. Its connections fail with an {@link AddressRefusedError} where they may not be. */
export function createConnector({ isAllowed, resolve, ca }: ConnectorOptions): buildConnector.connector {
  const connect = buildConnector({
    lookup: checkedLookup(resolve, isAllowed),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT_MS,
    timeout: CONNECT_TIMEOUT_MS,
    allowH2: false,
    ...(ca === undefined ? {} : { ca }),
  });
  return (options, callback) => {
    // A socket looks nothing up where it is given an address.
    const literal = literalAddress(options.hostname);
    if (literal !== undefined && !isAllowed(literal)) {
      callback(refused('the URL has an address'), null);
      return;
    }
    connect(options, (error, socket) => {
      if (error) {
        callback(error, null);
      } else if (!isAllowed(socket.remoteAddress ?? '')) {
        socket.destroy();
        callback(refused('the connection leads to an address'), null);
      } else {
        callback(null, socket);
      }
    });
  };
}

/** What a socket asks for the addresses of a name. */
function checkedLookup(resolve: Resolve, isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    const answer = (found: readonly LookupAddress[]): void => {
      const allowed = found.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (!first) callback(refused('the name leads to addresses'), '');
      else if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    };
    resolve(hostname).then(answer, (error: NodeJS.ErrnoException) => callback(error, ''));
  };
}

/** The address itself isn't told: whoever may make endpoints is not to look into a network with them. */
function refused(what: string): AddressRefusedError {
  return new AddressRefusedError(`${what} that webhooks may not be sent to`);
}
