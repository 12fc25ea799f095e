/**
 * Where an object can be read.
 * @param publicUrl how clients reach this server
 */
export function objectUrl(publicUrl: string, namespace: string, id: string): string {
  return `${publicUrl}/v1/data/${namespace}/objects/${encodeURIComponent(id)}`;
}
