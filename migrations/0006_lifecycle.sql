CREATE TABLE "alerts" (
	"key" text PRIMARY KEY NOT NULL,
	"body" jsonb NOT NULL,
	"raised_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp (3) with time zone NOT NULL,
	"delivered_at" timestamp (3) with time zone,
	"last_error" text
);
--> statement-breakpoint
CREATE TABLE "experiment_audit" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "experiment_audit_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"experiment" text NOT NULL,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"action" text NOT NULL,
	"by" text NOT NULL,
	"key_id" text,
	"why" text NOT NULL,
	"before" jsonb,
	"after" jsonb NOT NULL
);
--> statement-breakpoint
CREATE INDEX "alerts_due" ON "alerts" USING btree ("next_attempt_at") WHERE delivered_at is null;--> statement-breakpoint
CREATE INDEX "experiment_audit_experiment" ON "experiment_audit" USING btree ("experiment","id");--> statement-breakpoint
-- The record of changes is only added to.
CREATE FUNCTION harness_keep_audit() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'experiment_audit is append-only: its rows are neither changed nor removed';
END
$$;
--> statement-breakpoint
CREATE TRIGGER experiment_audit_append_only BEFORE UPDATE OR DELETE ON "experiment_audit"
FOR EACH ROW EXECUTE FUNCTION harness_keep_audit();
