-- The default account was made by a migration, so every copy of the template has it under the same id, as no two
-- separate servers would. Nothing but its first token refers to it yet.
BEGIN;
DELETE FROM tokens;
UPDATE accounts SET id = gen_random_uuid() WHERE is_default;
COMMIT;
