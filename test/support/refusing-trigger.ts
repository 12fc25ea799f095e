/** An operator's trigger that refuses objects. */

/** A trigger that refuses each object with the SQLSTATE that it names, unless that is in the list. */
export const REFUSING_TRIGGER = `
  CREATE TABLE public.lenient (codes text[] NOT NULL);
  INSERT INTO public.lenient VALUES ('{}');
  CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF new.data ? 'raise' AND NOT EXISTS (SELECT FROM public.lenient WHERE new.data ->> 'raise' = ANY (codes)) THEN
      RAISE EXCEPTION 'refused for %', new.data USING ERRCODE = new.data ->> 'raise';
    END IF;
    RETURN new;
  END $$;
  CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON inlet.objects FOR EACH ROW EXECUTE FUNCTION public.refuse();`;
