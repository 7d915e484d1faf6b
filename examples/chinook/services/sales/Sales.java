// Commerce at work: books invoices, decides prices, sends invoices elsewhere.
//
// usage: DATABASE_URL=postgres://… java -cp postgresql.jar Sales.java [COUNT [SEED]]
//
// What it changes it tells with one SQL call in the same transaction. What can be sold, and to whom invoices are
// addressed, it reads in its own database.

import java.math.BigDecimal;
import java.net.URI;
import java.sql.*;
import java.util.List;
import java.util.Properties;
import java.util.Random;

record Sales(Connection connection, Random dice) {
    private static volatile boolean stopping = false;

    public static void main(String[] args) throws Exception {
        int count = args.length > 0 ? Integer.parseInt(args[0]) : 10;
        long seed = args.length > 1 ? Long.parseLong(args[1]) : 1;
        Thread worker = Thread.currentThread();
        // On SIGTERM: ends after the transaction at work.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            try {
                worker.join();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }));
        try (Connection connection = connect(System.getenv("DATABASE_URL"))) {
            connection.setAutoCommit(false);
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            new Sales(connection, new Random(seed)).work(count);
        }
    }

    private static Connection connect(String url) throws SQLException {
        if (url == null) {
            throw new IllegalArgumentException("name the database in DATABASE_URL, as in postgres://user@host:5432/sales");
        }
        URI uri = URI.create(url);
        String[] who = uri.getUserInfo() == null ? new String[0] : uri.getUserInfo().split(":", 2);
        var properties = new Properties();
        if (who.length > 0) {
            properties.setProperty("user", who[0]);
        }
        if (who.length > 1) {
            properties.setProperty("password", who[1]);
        }
        String place = uri.getHost() + (uri.getPort() < 0 ? "" : ":" + uri.getPort()) + uri.getPath();
        return DriverManager.getConnection("jdbc:postgresql://" + place, properties);
    }

    private void work(int count) throws SQLException {
        int done = 0;
        int retried = 0;
        while (done < count && !stopping) {
            try {
                String told = switch (dice.nextInt(10)) {
                    case 0 -> move();
                    case 1, 2, 3 -> price();
                    default -> book();
                };
                connection.commit();
                System.out.println(told);
                done += 1;
            } catch (SQLException error) {
                if (!List.of("40001", "40P01").contains(error.getSQLState())) {
                    throw error;
                }
                // Another transaction was in the way, and nothing of this one happened.
                connection.rollback();
                retried += 1;
            }
        }
        System.out.println("sales: " + done + " changes, " + retried + " retried");
    }

    private String book() throws SQLException {
        int customer = number("SELECT customer_id FROM customer ORDER BY customer_id OFFSET ? LIMIT 1",
            dice.nextInt(number("SELECT count(*)::integer FROM customer")));
        int invoice = number("INSERT INTO invoice (customer_id, invoice_date, total) VALUES (?, now() AT TIME ZONE 'UTC', 0) "
            + "RETURNING invoice_id", customer);
        int lines = 1 + dice.nextInt(3);
        for (int idx = 0; idx < lines; idx++) {
            // An article that was withdrawn has no row here, and cannot be sold.
            int line = number("INSERT INTO invoice_line (invoice_id, track_id, unit_price, quantity) "
                + "SELECT ?, t.track_id, t.unit_price, ? FROM track t JOIN article a ON a.article_no = t.track_id "
                + "WHERE t.track_id >= ? ORDER BY t.track_id LIMIT 1 RETURNING invoice_line_id",
                invoice, 1 + dice.nextInt(3), 1 + dice.nextInt(3400));
            publish("sale", "CopiesSold", line, null);
        }
        run("UPDATE invoice SET total = (SELECT sum(unit_price * quantity) FROM invoice_line WHERE invoice_id = ?) "
            + "WHERE invoice_id = ?", invoice, invoice);
        publish("invoice", "InvoiceBooked", invoice, null);
        String addressed = text("SELECT first_name || ' ' || last_name FROM addressee WHERE customer_no = ?", customer);
        return "invoice " + invoice + ", lines: " + lines + ", for "
            + (addressed == null ? "customer " + customer + ", who has no name here" : addressed);
    }

    private String price() throws SQLException {
        int track = 1 + dice.nextInt(3400);
        var price = BigDecimal.valueOf(49 + 10 * dice.nextInt(20), 2);
        if (run("UPDATE track SET unit_price = ? WHERE track_id = ?", price, track) == 0) {
            return "track " + track + " has no price";
        }
        publish("price", "PriceSet", track, null);
        String owed = text("SELECT cost_so_far::text FROM royalty_cost WHERE article_no = ?", track);
        return "track " + track + " costs " + price + " USD; royalties so far: " + (owed == null ? "none" : owed);
    }

    private String move() throws SQLException {
        int customer = 1 + dice.nextInt(59);
        String country = List.of("Germany", "Chile", "Norway", "India", "Canada").get(dice.nextInt(5));
        run("UPDATE customer SET city = ?, country = ? WHERE customer_id = ?", "City " + dice.nextInt(100), country, customer);
        publish("buyer", "BillingPlaceMoved", customer, "ASKED");
        return "invoices of customer " + customer + " go to " + country;
    }

    private void publish(String contract, String change, int key, String reason) throws SQLException {
        run("SELECT seamline.publish(?, ?, ?, reason => ?)", contract, change, "[\"" + key + "\"]", reason);
    }

    private int number(String sql, Object... values) throws SQLException {
        String text = text(sql, values);
        if (text == null) {
            throw new IllegalStateException("nothing there; is the projection `article` filled? " + sql);
        }
        return Integer.parseInt(text);
    }

    private String text(String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = prepared(sql, values); ResultSet rows = statement.executeQuery()) {
            return rows.next() ? rows.getString(1) : null;
        }
    }

    private int run(String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = prepared(sql, values)) {
            return statement.execute() ? 0 : statement.getUpdateCount();
        }
    }

    private PreparedStatement prepared(String sql, Object... values) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int idx = 0; idx < values.length; idx++) {
            statement.setObject(idx + 1, values[idx]);
        }
        return statement;
    }
}
