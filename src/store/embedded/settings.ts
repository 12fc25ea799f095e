// How the embedded PostgreSQL is set up. All of it is given on the command line, which overrides postgresql.conf:
// so a new release of Inlet can change it for existing clusters, and nothing in the folder can weaken durability.

const settings: Record<string, string> = {
  // An acknowledged write is on disk. These are the defaults; they are named because everything rests on them.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',

  // Reached by this machine only, over TCP: the path of a Unix socket may have 107 bytes, which folders exceed.
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  max_connections: '100',

  // Beside a Node process on a small machine; anonymous memory, so what isn't used isn't taken.
  shared_buffers: '256MB',
  // Sustained ingestion fills the default of 1 GB within a minute, and every checkpoint makes pages be logged whole.
  max_wal_size: '2GB',
  // Statements are short: compiling them costs more than it saves.
  jit: 'off',
  // Parallel queries would compete with ingestion for few cores, and need more of /dev/shm than the 64 MB of Docker.
  max_parallel_workers_per_gather: '0',
  max_parallel_maintenance_workers: '0',

  // A refused statement is reported to Inlet, which keeps it; in the log it would only leave users' data behind.
  log_min_messages: 'log',
  // Would write two lines every few minutes for ever.
  log_checkpoints: 'off',
  log_destination: 'stderr',
  logging_collector: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/**
 * The arguments of `postgres`.
 *
 * @param data the data directory
 * @param overrides settings to add or replace; tests give up durability for speed with it
 */
export function serverArguments(
  data: string,
  port: number,
  overrides: Record<string, string> = {},
): string[] {
  const all = Object.entries({ ...settings, port: `${port}`, ...overrides });
  return ['-D', data, ...all.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}
