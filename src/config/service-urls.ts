/**
 * What is wrong with URLs of Postgres and Redis that look right: forms that other clients know, and that pg and ioredis
 * would misread without a word. Each answer follows the variable's name, and shows nothing of the URL but names of parameters.
 */
import { accessSync, constants } from 'node:fs';

const ONE_DATABASE_HOST =
  'names several hosts, and Inlet connects to one: name the primary, or a proxy or DNS name that leads to it';
const ONE_REDIS_HOST =
  'names several Redis servers or Sentinels, and Inlet connects to one: name the primary as redis://host:6379, or a proxy or DNS name that leads to it';

/** The modes of libpq, and pg's own for TLS without checking the certificate. */
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

const SSL_FILES = ['sslcert', 'sslkey', 'sslrootcert'];

/**
 * What is wrong with a URL of Postgres. Parameters that pg passes over without harm, such as `connect_timeout` or
 * `target_session_attrs`, are fine.
 * @returns undefined where nothing is, or it is no URL at all
 */
export function databaseUrlMistake(text: string): string | undefined {
  const { protocol, authority, path, parameters } = partsOf(text);
  if (!/^postgres(ql)?$/.test(protocol)) return undefined;
  const host = parameters.get('host') || authority;
  const port = parameters.get('port') ?? '';
  if (host.includes(',') || port.includes(',')) return ONE_DATABASE_HOST;
  if (!/^\d*$/.test(port))
    return 'has a port that is no number in its parameter "port": give it as host:5432';
  if (parameters.has('service')) {
    return 'has the parameter "service", which Inlet does not support: give host, user and database in the URL';
  }
  if (parameters.has('hostaddr') && host === '') {
    return 'has the parameter "hostaddr" and no host, which Inlet does not support: give the address as the host';
  }
  const name = parameters.get('dbname');
  if (name !== undefined && name !== path) {
    return 'has the parameter "dbname", which Inlet does not support: give the database as the path, like postgres://host:5432/database';
  }
  const mode = parameters.get('sslmode');
  if (mode && !SSL_MODES.includes(mode)) return `has an unknown sslmode: it must be ${SSL_MODES.join(', ')}`;
  for (const parameter of SSL_FILES) {
    const file = parameters.get(parameter);
    const why = file && unreadable(file);
    if (why) return `names a file in its parameter "${parameter}" that cannot be read (${why})`;
  }
  return undefined;
}

/** As {@link databaseUrlMistake}, for a URL of Redis. */
export function redisUrlMistake(text: string): string | undefined {
  const { protocol, userInfo, authority, path, parameters } = partsOf(text);
  const isOfSeveral = /sentinel|cluster/;
  const host = parameters.get('host') ?? '';
  if (isOfSeveral.test(protocol) || authority.includes(',') || host.includes(',')) return ONE_REDIS_HOST;
  for (const parameter of parameters.keys()) if (isOfSeveral.test(parameter)) return ONE_REDIS_HOST;
  if (!isEncoded(userInfo)) {
    return 'has a "%" in its user or password that encodes nothing: write the character itself as %25';
  }
  // Of anything else ioredis takes what it can for the number, or fails when it has connected.
  if (/^rediss?$/.test(protocol) && !(/^\d*\/?$/.test(path) && /^\d*$/.test(parameters.get('db') ?? ''))) {
    return 'has a database that is no number: give it as the path, like redis://host:6379/0 (sockets are not supported)';
  }
  return undefined;
}

/** By hand, because URLs with several hosts can't be parsed as such. */
function partsOf(text: string) {
  const [, protocol = '', rest = ''] = /^([a-z0-9+.-]+):\/\/(.*)$/is.exec(text) ?? [];
  const [beforeHash = ''] = rest.split('#');
  const question = beforeHash.indexOf('?');
  const location = question < 0 ? beforeHash : beforeHash.slice(0, question);
  const slash = location.indexOf('/');
  const server = slash < 0 ? location : location.slice(0, slash);
  return {
    protocol: protocol.toLowerCase(),
    // A password may hold whatever it likes.
    userInfo: server.slice(0, Math.max(0, server.lastIndexOf('@'))),
    authority: server.slice(server.lastIndexOf('@') + 1),
    path: slash < 0 ? '' : location.slice(slash + 1),
    parameters: new Map(new URLSearchParams(question < 0 ? '' : beforeHash.slice(question + 1))),
  };
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function unreadable(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}
