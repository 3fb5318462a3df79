import okhttp3.FormBody;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

public class WithOkHttp {
    public static void main(String[] args) throws Exception {
        Request request =
                new Request.Builder()
                        .url(Form.url())
                        .header("Authorization", Form.authorization())
                        .post(
                                new FormBody.Builder()
                                        .add("From", System.getenv("TWILIO_PHONE_NUMBER"))
                                        .add("To", "+15005550006")
                                        .add("Body", args[0])
                                        .build())
                        .build();
        try (Response response = new OkHttpClient().newCall(request).execute()) {
            System.out.println("reached " + Form.sid(response.body().string()));
        }
    }
}
