-- Roles. Nobody is superuser at run time: the catalog reads as panofed_reader, an operator's request writes as
-- panofed_operator, the harvester writes as panofed_writer, migrations run as panofed_owner. `panofed` is the login
-- that may become the three working roles.
DO $$
DECLARE
    wanted text;
BEGIN
    -- two migrations at once must not race on the cluster-wide catalogue of roles
    PERFORM pg_advisory_xact_lock(hashtext('panofed roles'));
    FOREACH wanted IN ARRAY ARRAY['panofed_owner', 'panofed_writer', 'panofed_operator', 'panofed_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'panofed') THEN
        CREATE ROLE panofed LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
    -- the owner's part is for maintenance: rebuilding an index needs it
    GRANT panofed_owner, panofed_writer, panofed_operator, panofed_reader TO panofed;
    -- the administrator of a hosted server is made a member of all: it hands objects over, and may serve as the login
    FOREACH wanted IN ARRAY ARRAY['panofed_owner', 'panofed_writer', 'panofed_operator', 'panofed_reader'] LOOP
        -- since PostgreSQL 16 the maker of a role is its member, yet may not become it
        IF NOT pg_has_role(current_user, wanted,
                           CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET'
                                ELSE 'MEMBER' END) THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO panofed, panofed_writer, panofed_operator, panofed_reader',
                   current_database());
    GRANT USAGE, CREATE ON SCHEMA public TO panofed_owner;
    GRANT USAGE ON SCHEMA public TO panofed_writer, panofed_operator, panofed_reader;
END
$$;

SET ROLE panofed_owner;
