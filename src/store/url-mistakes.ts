/** What no wait for Postgres mends: a DATABASE_URL that doesn't fit its server. */
import { isConnectionFault } from './faults.ts';
import { REFUSED_PARAMETER } from './sessions.ts';

/** How OpenSSL and Node begin the codes of certificates that can't be trusted. */
const CERTIFICATE = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT)/;

/** Whether a connection has failed because of the other side's certificate. */
export function isUntrusted(error: unknown): boolean {
  return CERTIFICATE.test(String((error as NodeJS.ErrnoException | undefined)?.code));
}

/**
 * @param error as a connect through `Database` or `migrate` has failed with
 * @returns what is wrong and what to do, to follow the setting's name; undefined where waiting may help
 */
export function urlMistake(error: unknown): string | undefined {
  if (!isConnectionFault(error)) return undefined;
  const { message, cause } = error;
  if (isUntrusted(cause)) {
    return `leads to a Postgres whose certificate cannot be trusted (${message}): name that of its authority with sslrootcert=FILE, or sslmode=no-verify to have it unchecked`;
  }
  if (message === 'The server does not support SSL connections') {
    return 'asks for TLS, and the Postgres that it leads to has none: remove sslmode, or set up TLS there';
  }
  if (message.includes('not allowed in statement pooling mode')) {
    return 'leads to a pooler in statement mode, which has no transactions: set it to transaction or session mode';
  }
  const [, parameter] = REFUSED_PARAMETER.exec(message) ?? [];
  if (parameter === undefined) return undefined;
  return `has a parameter that the pooler which it leads to does not take: remove "${parameter}"`;
}
