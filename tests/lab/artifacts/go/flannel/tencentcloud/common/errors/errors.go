package errors

type TencentCloudSDKError struct{}

func (*TencentCloudSDKError) Error() string {
	return "the backend for Tencent Cloud is left out of this build"
}
