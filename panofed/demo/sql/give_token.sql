-- The token :token, made by the web API for nobody, becomes one of the account :account (made if needed). Claiming it
-- the usual way takes a browser and a login server.
BEGIN;
INSERT INTO accounts (name) SELECT :'account' WHERE NOT EXISTS (SELECT FROM accounts WHERE name = :'account');
UPDATE tokens SET account_id = (SELECT id FROM accounts WHERE name = :'account') WHERE id = CAST(:'token' AS uuid);
COMMIT;
