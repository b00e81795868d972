-- PostgreSQL's image runs this once, in the database `app`, when it makes its cluster.
--
-- The application owns its database and is no superuser: it reads no file of the server, and touches no other database.
\set password `cat /run/secrets/postgres_password`
CREATE ROLE app LOGIN PASSWORD :'password';
ALTER DATABASE app OWNER TO app;
-- The image asks for a password of the superuser, but without one nobody is superuser but from inside the container.
ALTER ROLE postgres PASSWORD NULL;
