/** A Postgres that refuses objects for as long as a test wants it to, as one with a constraint of its operator's does. */
import { query } from './postgres.ts';

/**
 * Makes the database refuse objects by their member `refuse`, and deletes by `delete-` and the id, while that is among what is
 * refused.
 * @param codes SQLSTATEs with which objects that name them are refused from now on
 */
export async function prepareRefusals(databaseUrl: string, codes: readonly string[] = []): Promise<void> {
  await query(
    databaseUrl,
    `CREATE TABLE public.refused (name text PRIMARY KEY, sqlstate text NOT NULL);
     CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE
       reason text := coalesce(new.data ->> 'refuse', 'delete-' || new.id);
       code text := (SELECT sqlstate FROM public.refused WHERE name = reason);
     BEGIN
       IF code IS NOT NULL THEN
         RAISE EXCEPTION 'refused because of %', reason USING ERRCODE = code;
       END IF;
       RETURN new;
     END $$;
     CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON inlet.objects
       FOR EACH ROW EXECUTE FUNCTION public.refuse()`,
  );
  await refuse(databaseUrl, ...codes.map((code) => [code, code] as const));
}

/** From now on these are refused, and no others. The SQLSTATE is that of a check constraint, or the one that is given. */
export async function refuse(
  databaseUrl: string,
  ...names: readonly (string | readonly [name: string, sqlState: string])[]
): Promise<void> {
  const values = names.map((name) => {
    const [what, sqlState] = typeof name === 'string' ? [name, '23514'] : name;
    return `INSERT INTO public.refused VALUES ('${what}', '${sqlState}');`;
  });
  await query(databaseUrl, `BEGIN; DELETE FROM public.refused; ${values.join(' ')} COMMIT`);
}
