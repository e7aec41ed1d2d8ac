/* SPDX-License-Identifier: Apache-2.0
 *
 * StackJsse FILE COUNT: COUNT handshakes of Java's JSSE with itself. Chosen as the third stack since
 * it shares no code with the other two, and signs through a provider that anyone may put before its
 * own: the keys are of a class that the JDK's Signatures do not take, ours do, and note the bytes.
 */
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.security.*;
import java.security.cert.X509Certificate;
import java.security.interfaces.*;
import java.security.spec.*;
import java.util.*;
import javax.net.ssl.*;

public class StackJsse {
    static DataOutputStream out;
    static boolean tls13;
    static int written;

    /** A private key that only Noting signs with. */
    static class Held implements PrivateKey {
        final PrivateKey key;
        final boolean client;

        Held(PrivateKey key, boolean client) {
            this.key = key;
            this.client = client;
        }
        public String getAlgorithm() { return key.getAlgorithm(); }
        public String getFormat() { return null; }
        public byte[] getEncoded() { return null; }
    }

    static class HeldRsa extends Held implements RSAKey {
        HeldRsa(PrivateKey key, boolean client) { super(key, client); }
        public java.math.BigInteger getModulus() { return ((RSAKey) key).getModulus(); }
    }

    static class HeldEc extends Held implements ECKey {
        HeldEc(PrivateKey key, boolean client) { super(key, client); }
        public ECParameterSpec getParams() { return ((ECKey) key).getParams(); }
    }

    static Held hold(PrivateKey key, boolean client) {
        return key instanceof RSAKey ? new HeldRsa(key, client)
             : key instanceof ECKey ? new HeldEc(key, client) : new Held(key, client);
    }

    public abstract static class Noting extends SignatureSpi {
        final Signature real;
        final ByteArrayOutputStream message = new ByteArrayOutputStream();
        Held held;

        Noting(String algorithm, String provider) throws GeneralSecurityException {
            real = Signature.getInstance(algorithm, provider);
        }
        protected void engineInitSign(PrivateKey key) throws InvalidKeyException {
            if (!(key instanceof Held)) throw new InvalidKeyException("not ours");
            held = (Held) key;
            real.initSign(held.key);
        }
        protected void engineInitVerify(PublicKey key) throws InvalidKeyException {
            throw new InvalidKeyException("not ours");
        }
        protected void engineUpdate(byte b) throws SignatureException {
            message.write(b);
            real.update(b);
        }
        protected void engineUpdate(byte[] b, int at, int n) throws SignatureException {
            message.write(b, at, n);
            real.update(b, at, n);
        }
        protected byte[] engineSign() throws SignatureException {
            byte[] m = message.toByteArray();
            message.reset();
            try {
                out.writeByte(tls13 ? held.client ? 2 : 1 : held.client ? 4 : 3);
                out.writeInt(m.length);
                out.write(m);
            } catch (IOException e) {
                throw new SignatureException(e);
            }
            written++;
            return real.sign();
        }
        protected boolean engineVerify(byte[] b) throws SignatureException {
            throw new SignatureException("not ours");
        }
        protected void engineSetParameter(AlgorithmParameterSpec p) throws InvalidAlgorithmParameterException {
            real.setParameter(p);
        }
        @Deprecated protected void engineSetParameter(String s, Object o) {}
        @Deprecated protected Object engineGetParameter(String s) { return null; }
        protected AlgorithmParameters engineGetParameters() { return real.getParameters(); }
    }

    static final String[][] ALGORITHMS = {
        {"RSASSA-PSS", "SunRsaSign"}, {"SHA256withRSA", "SunRsaSign"},
        {"SHA384withRSA", "SunRsaSign"}, {"SHA512withRSA", "SunRsaSign"},
        {"SHA256withECDSA", "SunEC"}, {"SHA384withECDSA", "SunEC"}, {"SHA512withECDSA", "SunEC"},
        {"Ed25519", "SunEC"}, {"EdDSA", "SunEC"}, {"Ed448", "SunEC"},
    };

    static class Ours extends Provider {
        Ours() {
            super("Noting", "1", "notes what is signed");
            for (String[] a : ALGORITHMS)
                putService(new Service(this, "Signature", a[0], "Noting", null, null) {
                    public Object newInstance(Object p) throws NoSuchAlgorithmException {
                        try {
                            return new Noting(a[0], a[1]) {};
                        } catch (GeneralSecurityException e) {
                            throw new NoSuchAlgorithmException(e);
                        }
                    }
                    public boolean supportsParameter(Object key) { return key instanceof Held; }
                });
        }
    }

    static class Manager extends X509ExtendedKeyManager {
        final X509Certificate cert;
        final Held held;

        Manager(X509Certificate cert, Held held) {
            this.cert = cert;
            this.held = held;
        }
        private String is(String type) {
            return cert.getPublicKey().getAlgorithm().equals(type.equals("RSASSA-PSS") ? "-" : type) ? "a" : null;
        }
        public String chooseEngineServerAlias(String type, Principal[] i, SSLEngine e) { return is(type); }
        public String chooseEngineClientAlias(String[] types, Principal[] i, SSLEngine e) {
            for (String t : types) if (is(t) != null) return "a";
            return null;
        }
        public String chooseServerAlias(String t, Principal[] i, java.net.Socket s) { return is(t); }
        public String chooseClientAlias(String[] t, Principal[] i, java.net.Socket s) { return null; }
        public String[] getServerAliases(String t, Principal[] i) { return new String[] {"a"}; }
        public String[] getClientAliases(String t, Principal[] i) { return new String[] {"a"}; }
        public X509Certificate[] getCertificateChain(String a) { return new X509Certificate[] {cert}; }
        public PrivateKey getPrivateKey(String a) { return held; }
    }

    static class TrustAll extends X509ExtendedTrustManager {
        public void checkClientTrusted(X509Certificate[] c, String a) {}
        public void checkServerTrusted(X509Certificate[] c, String a) {}
        public void checkClientTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
        public void checkServerTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
        public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) {}
        public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) {}
        public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
    }

    static final String[][] KINDS = {
        {"RSA", "-keysize", "2048"}, {"RSA", "-keysize", "3072"},
        {"EC", "-groupname", "secp256r1"}, {"EC", "-groupname", "secp384r1"},
        {"Ed25519", null, null},
    };

    static KeyStore store(Path dir, int kind) throws Exception {
        Path file = dir.resolve("k" + kind + ".p12");
        List<String> c = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/keytool",
            "-genkeypair", "-alias", "a", "-dname", "CN=test", "-storetype", "PKCS12", "-keystore",
            file.toString(), "-storepass", "secret", "-keyalg", KINDS[kind][0]));
        if (KINDS[kind][1] != null) c.addAll(List.of(KINDS[kind][1], KINDS[kind][2]));
        Process p = new ProcessBuilder(c).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
        if (p.waitFor() != 0) throw new IOException("keytool " + KINDS[kind][0]);
        KeyStore s = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(file)) { s.load(in, "secret".toCharArray()); }
        return s;
    }

    static SSLContext context(KeyStore s, boolean client) throws Exception {
        Held held = hold((PrivateKey) s.getKey("a", "secret".toCharArray()), client);
        SSLContext c = SSLContext.getInstance("TLS");
        c.init(new KeyManager[] {new Manager((X509Certificate) s.getCertificate("a"), held)},
               new TrustManager[] {new TrustAll()}, null);
        return c;
    }

    static void tasks(SSLEngine e) {
        Runnable r;
        while ((r = e.getDelegatedTask()) != null) r.run();
    }

    static void shake(SSLEngine a, SSLEngine b) throws SSLException {
        ByteBuffer ab = ByteBuffer.allocate(65536), ba = ByteBuffer.allocate(65536);
        ByteBuffer none = ByteBuffer.allocate(0), sink = ByteBuffer.allocate(65536);
        a.beginHandshake();
        b.beginHandshake();
        for (int i = 0; i < 60; i++) {
            a.wrap(none, ab); tasks(a);
            b.wrap(none, ba); tasks(b);
            ab.flip(); ba.flip();
            a.unwrap(ba, sink); tasks(a);
            b.unwrap(ab, sink); tasks(b);
            ab.compact(); ba.compact(); sink.clear();
        }
        if (a.getSession().getCipherSuite().equals("SSL_NULL_WITH_NULL_NULL")) throw new SSLException("no handshake");
    }

    static final String[] SUITES13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};

    static void one(KeyStore[] stores, int i) throws Exception {
        tls13 = i % 2 == 1;
        int kind = i / 2 % stores.length;
        SSLEngine server = context(stores[kind], false).createSSLEngine();
        SSLEngine client = context(stores[(kind + i / 10) % stores.length], true)
            .createSSLEngine(i % 4 < 2 ? "www.example.com" : null, 443);
        client.setUseClientMode(true);
        server.setUseClientMode(false);
        server.setNeedClientAuth(i % 3 == 1);
        for (SSLEngine e : List.of(server, client)) e.setEnabledProtocols(new String[] {tls13 ? "TLSv1.3" : "TLSv1.2"});
        if (tls13) client.setEnabledCipherSuites(new String[] {SUITES13[i / 10 % 3]});
        else client.setEnabledCipherSuites(Arrays.stream(client.getSupportedCipherSuites())
            .filter(s -> s.startsWith("TLS_ECDHE")).toArray(String[]::new));
        SSLParameters p = client.getSSLParameters();
        if (i % 5 == 0) p.setApplicationProtocols(new String[] {"h2", "http/1.1"});
        client.setSSLParameters(p);
        shake(client, server);
    }

    public static void main(String[] args) throws Exception {
        Security.insertProviderAt(new Ours(), 1);
        out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(args[0])));
        int count = Integer.parseInt(args[1]);
        Path dir = Files.createTempDirectory("jsse");
        KeyStore[] stores = new KeyStore[KINDS.length];
        for (int k = 0; k < stores.length; k++) stores[k] = store(dir, k);
        for (int i = 0; i < count; i++) one(stores, i);
        out.close();
        System.out.println("jsse " + System.getProperty("java.version") + ": " + count + " handshakes, " + written + " messages");
        try (var files = Files.list(dir)) { for (Path f : (Iterable<Path>) files::iterator) Files.delete(f); }
        Files.delete(dir);
    }
}
