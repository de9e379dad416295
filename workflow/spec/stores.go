package spec

import corev1 "k8s.io/api/core/v1"

// RawArtifact is an artifact written in the file itself.
type RawArtifact struct {
	Data string `json:"data"`
}

// S3Artifact is an object in an S3 bucket.
type S3Artifact struct {
	S3Bucket `json:",inline"`
	Key      string `json:"key,omitempty"`
}

// S3Bucket is how to reach a bucket.
type S3Bucket struct {
	Endpoint                 string                    `json:"endpoint,omitempty"`
	Bucket                   string                    `json:"bucket,omitempty"`
	Region                   string                    `json:"region,omitempty"`
	Insecure                 *bool                     `json:"insecure,omitempty"`
	AccessKeySecret          *corev1.SecretKeySelector `json:"accessKeySecret,omitempty"`
	SecretKeySecret          *corev1.SecretKeySelector `json:"secretKeySecret,omitempty"`
	SessionTokenSecret       *corev1.SecretKeySelector `json:"sessionTokenSecret,omitempty"`
	RoleARN                  string                    `json:"roleARN,omitempty"`
	UseSDKCreds              bool                      `json:"useSDKCreds,omitempty"`
	CreateBucketIfNotPresent *CreateS3BucketOptions    `json:"createBucketIfNotPresent,omitempty"`
	EncryptionOptions        *S3EncryptionOptions      `json:"encryptionOptions,omitempty"`
	CASecret                 *corev1.SecretKeySelector `json:"caSecret,omitempty"`
	AddressingStyle          string                    `json:"addressingStyle,omitempty"`
}

// CreateS3BucketOptions are the options of a bucket that is made on first use.
type CreateS3BucketOptions struct {
	ObjectLocking bool `json:"objectLocking,omitempty"`
}

// S3EncryptionOptions are the server-side encryption of objects.
type S3EncryptionOptions struct {
	KmsKeyID                    string                    `json:"kmsKeyId,omitempty"`
	KmsEncryptionContext        string                    `json:"kmsEncryptionContext,omitempty"`
	EnableEncryption            bool                      `json:"enableEncryption,omitempty"`
	ServerSideCustomerKeySecret *corev1.SecretKeySelector `json:"serverSideCustomerKeySecret,omitempty"`
}

// GitArtifact is a checkout of a repository.
type GitArtifact struct {
	Repo                  string                    `json:"repo"`
	Revision              string                    `json:"revision,omitempty"`
	Depth                 *uint64                   `json:"depth,omitempty"`
	Fetch                 []string                  `json:"fetch,omitempty"`
	UsernameSecret        *corev1.SecretKeySelector `json:"usernameSecret,omitempty"`
	PasswordSecret        *corev1.SecretKeySelector `json:"passwordSecret,omitempty"`
	SSHPrivateKeySecret   *corev1.SecretKeySelector `json:"sshPrivateKeySecret,omitempty"`
	InsecureIgnoreHostKey bool                      `json:"insecureIgnoreHostKey,omitempty"`
	DisableSubmodules     bool                      `json:"disableSubmodules,omitempty"`
	SingleBranch          bool                      `json:"singleBranch,omitempty"`
	Branch                string                    `json:"branch,omitempty"`
	InsecureSkipTLS       bool                      `json:"insecureSkipTLS,omitempty"`
}

// HTTPArtifact is what a URL answers.
type HTTPArtifact struct {
	URL     string    `json:"url"`
	Headers []Header  `json:"headers,omitempty"`
	Auth    *HTTPAuth `json:"auth,omitempty"`
	// SaveStreamViaFile writes an upload to a file first, so that it can be sent again to
	// where a redirect leads.
	SaveStreamViaFile bool `json:"saveStreamViaFile,omitempty"`
}

// Header is one request header.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// HTTPAuth is how a request proves who it is.
type HTTPAuth struct {
	ClientCert ClientCertAuth `json:"clientCert,omitempty"`
	OAuth2     OAuth2Auth     `json:"oauth2,omitempty"`
	BasicAuth  BasicAuth      `json:"basicAuth,omitempty"`
}

// BasicAuth is a user and a password.
type BasicAuth struct {
	UsernameSecret *corev1.SecretKeySelector `json:"usernameSecret,omitempty"`
	PasswordSecret *corev1.SecretKeySelector `json:"passwordSecret,omitempty"`
}

// ClientCertAuth is a client certificate.
type ClientCertAuth struct {
	ClientCertSecret *corev1.SecretKeySelector `json:"clientCertSecret,omitempty"`
	ClientKeySecret  *corev1.SecretKeySelector `json:"clientKeySecret,omitempty"`
}

// OAuth2Auth is the client credentials grant.
type OAuth2Auth struct {
	ClientIDSecret     *corev1.SecretKeySelector `json:"clientIDSecret,omitempty"`
	ClientSecretSecret *corev1.SecretKeySelector `json:"clientSecretSecret,omitempty"`
	TokenURLSecret     *corev1.SecretKeySelector `json:"tokenURLSecret,omitempty"`
	Scopes             []string                  `json:"scopes,omitempty"`
	EndpointParams     []OAuth2EndpointParam     `json:"endpointParams,omitempty"`
}

// OAuth2EndpointParam is a further field of the token request.
type OAuth2EndpointParam struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// ArtifactoryArtifact is a file in JFrog Artifactory.
type ArtifactoryArtifact struct {
	URL             string `json:"url"`
	ArtifactoryAuth `json:",inline"`
}

// ArtifactoryAuth is a user and a password.
type ArtifactoryAuth struct {
	UsernameSecret *corev1.SecretKeySelector `json:"usernameSecret,omitempty"`
	PasswordSecret *corev1.SecretKeySelector `json:"passwordSecret,omitempty"`
}

// GCSArtifact is an object in Google Cloud Storage.
type GCSArtifact struct {
	GCSBucket `json:",inline"`
	Key       string `json:"key"`
}

// GCSBucket is how to reach a bucket.
type GCSBucket struct {
	Bucket                  string                    `json:"bucket,omitempty"`
	ServiceAccountKeySecret *corev1.SecretKeySelector `json:"serviceAccountKeySecret,omitempty"`
}

// AzureArtifact is a blob in Azure Storage.
type AzureArtifact struct {
	AzureBlobContainer `json:",inline"`
	Blob               string `json:"blob"`
}

// AzureBlobContainer is how to reach a container.
type AzureBlobContainer struct {
	Endpoint         string                    `json:"endpoint"`
	Container        string                    `json:"container"`
	AccountKeySecret *corev1.SecretKeySelector `json:"accountKeySecret,omitempty"`
	UseSDKCreds      bool                      `json:"useSDKCreds,omitempty"`
}

// OSSArtifact is an object in Alibaba Cloud OSS.
type OSSArtifact struct {
	OSSBucket `json:",inline"`
	Key       string `json:"key"`
}

// OSSBucket is how to reach a bucket.
type OSSBucket struct {
	Endpoint                 string                    `json:"endpoint,omitempty"`
	Bucket                   string                    `json:"bucket,omitempty"`
	AccessKeySecret          *corev1.SecretKeySelector `json:"accessKeySecret,omitempty"`
	SecretKeySecret          *corev1.SecretKeySelector `json:"secretKeySecret,omitempty"`
	CreateBucketIfNotPresent bool                      `json:"createBucketIfNotPresent,omitempty"`
	SecurityToken            string                    `json:"securityToken,omitempty"`
	LifecycleRule            *OSSLifecycleRule         `json:"lifecycleRule,omitempty"`
	UseSDKCreds              bool                      `json:"useSDKCreds,omitempty"`
}

// OSSLifecycleRule ages objects.
type OSSLifecycleRule struct {
	MarkInfrequentAccessAfterDays int32 `json:"markInfrequentAccessAfterDays,omitempty"`
	MarkDeletionAfterDays         int32 `json:"markDeletionAfterDays,omitempty"`
}

// HDFSArtifact is a file in HDFS.
type HDFSArtifact struct {
	HDFSConfig `json:",inline"`
	Path       string `json:"path"`
	Force      bool   `json:"force,omitempty"`
}

// HDFSConfig is how to reach HDFS.
type HDFSConfig struct {
	HDFSKrbConfig          `json:",inline"`
	Addresses              []string `json:"addresses,omitempty"`
	HDFSUser               string   `json:"hdfsUser,omitempty"`
	DataTransferProtection string   `json:"dataTransferProtection,omitempty"`
}

// HDFSKrbConfig is Kerberos for HDFS.
type HDFSKrbConfig struct {
	KrbCCacheSecret         *corev1.SecretKeySelector    `json:"krbCCacheSecret,omitempty"`
	KrbKeytabSecret         *corev1.SecretKeySelector    `json:"krbKeytabSecret,omitempty"`
	KrbUsername             string                       `json:"krbUsername,omitempty"`
	KrbRealm                string                       `json:"krbRealm,omitempty"`
	KrbConfigConfigMap      *corev1.ConfigMapKeySelector `json:"krbConfigConfigMap,omitempty"`
	KrbServicePrincipalName string                       `json:"krbServicePrincipalName,omitempty"`
}

// PluginArtifact is kept by an artifact driver plugin.
type PluginArtifact struct {
	Name                     string `json:"name,omitempty"`
	Configuration            string `json:"configuration,omitempty"`
	ConnectionTimeoutSeconds int32  `json:"connectionTimeoutSeconds,omitempty"`
	Key                      string `json:"key,omitempty"`
}
