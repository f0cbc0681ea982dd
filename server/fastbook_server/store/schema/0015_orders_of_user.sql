-- The orders of a user, for the list of those that have ended. A user's rows follow one another, so
-- each new one goes to the end of the same page.

CREATE INDEX IF NOT EXISTS orders_user ON orders (user_id, security, seq);
