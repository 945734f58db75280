CREATE SCHEMA "shop";
--> statement-breakpoint
CREATE TABLE "shop"."order_stats" (
	"customer_id" text NOT NULL,
	"day" date NOT NULL,
	"currency" text NOT NULL,
	"orders" integer NOT NULL,
	"cancelled" integer NOT NULL,
	"revenue_minor" bigint NOT NULL,
	CONSTRAINT "order_stats_customer_id_day_currency_pk" PRIMARY KEY("customer_id","day","currency")
);
--> statement-breakpoint
CREATE TABLE "shop"."order_summaries" (
	"order_id" uuid PRIMARY KEY NOT NULL,
	"customer_id" text NOT NULL,
	"status" text NOT NULL,
	"currency" text NOT NULL,
	"line_count" integer NOT NULL,
	"total_minor" bigint NOT NULL,
	"version" integer NOT NULL,
	"placed_at" timestamp (3) with time zone NOT NULL,
	"cancelled_at" timestamp (3) with time zone,
	"cancel_reason" text,
	CONSTRAINT "order_summaries_status" CHECK ("status" in ('placed', 'cancelled'))
);
--> statement-breakpoint
CREATE TABLE "shop"."orders" (
	"id" uuid PRIMARY KEY NOT NULL,
	"customer_id" text NOT NULL,
	"status" text NOT NULL,
	"currency" text NOT NULL,
	"lines" jsonb NOT NULL,
	"total_minor" bigint NOT NULL,
	"version" integer NOT NULL,
	"placed_at" timestamp (3) with time zone NOT NULL,
	"cancelled_at" timestamp (3) with time zone,
	"cancel_reason" text,
	CONSTRAINT "orders_status" CHECK ("status" in ('placed', 'cancelled'))
);
--> statement-breakpoint
CREATE INDEX "order_summaries_of_customer" ON "shop"."order_summaries" USING btree ("customer_id","placed_at","order_id");