-- Transaction numbers start anew after a restore: readers of the change log must learn that their place is void.
SELECT 'SELECT restore_epoch()' WHERE to_regprocedure('public.restore_epoch()') IS NOT NULL \gexec
ANALYZE;
